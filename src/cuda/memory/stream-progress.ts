/**
 * How far a stream has come with what was freed on it: events are recorded behind some of the frees, and looked at when
 * the next one is recorded, or when memory is wanted.
 */
import type { Progress } from "../../allocator/pending-frees.js"
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/events.js"
import { SUCCESS } from "../api/status.js"
import type { Streams } from "../stream/streams.js"

/** Watchers of one stream at a time. A stream that is so far behind is watched again when it has caught up. */
const MOST_WATCHERS = 64

/** An event behind a free. */
interface Watcher {
  readonly event: EventHandle
  /** The free's position. */
  readonly position: number
}

/** One stream's. Positions count its frees. */
export class StreamProgress implements Progress {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #events: EventPool
  /** Undefined once it is destroyed: its end is told by {@link passedAll}. */
  #stream: StreamHandle | undefined
  #frees = 0
  #passed = 0
  /** Those that are not known to be passed, oldest first. */
  readonly #watchers: Watcher[] = []
  /** The position of the newest. */
  #watched = 0

  constructor(context: CudaContext, streams: Streams, captures: Captures, events: EventPool, stream: StreamHandle) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#events = events
    this.#stream = stream
  }

  /** One more free. Returns its position. */
  countFree(): number {
    this.#frees += 1
    return this.#frees
  }

  hasPassed(position: number): boolean {
    return position <= this.#passed
  }

  /** The stream has come to the end of all that was queued on it. */
  passedAll(): void {
    this.#passed = this.#frees
  }

  /** Watches every nth free, and the first. Never throws: it is tried again later. */
  watch(nth: number): void {
    if ((this.#frees - this.#watched) % nth !== 0 && this.#watchers.length > 0) return
    try {
      this.#popPassed(1)
      this.#record()
    } catch {
      // See above. A lost device is noticed by the next call that may throw.
    }
  }

  #record(): void {
    // On a captured stream, the record would become part of the graph.
    if (this.#stream === undefined || this.#captures.isCapturingForAnyone(this.#stream)) return
    if (this.#watchers.length >= MOST_WATCHERS || this.#watched === this.#frees) return
    this.#watchers.push({ event: this.#events.record(this.#stream), position: this.#frees })
    this.#watched = this.#frees
  }

  /** Looks at the oldest watchers, so many at most. */
  #popPassed(most: number): void {
    for (let count = 0; count < most; count++) {
      const oldest = this.#watchers[0]
      if (oldest === undefined || !hasPassed(this.#context, oldest.event)) return
      this.#watchers.shift()
      this.#events.give(oldest.event)
      this.#passed = Math.max(this.#passed, oldest.position)
    }
  }

  /** Finds out how far it has come. @throws DeviceLostError, CudaError */
  refresh(): void {
    this.#popPassed(MOST_WATCHERS)
    if (this.#stream === undefined || this.#passed === this.#frees || this.#captures.isCapturingForAnyone(this.#stream))
      return
    if (this.#watchers.length === 0 && this.#streams.isIdle(this.#stream)) this.passedAll()
    else this.#record()
  }

  /** Something else has made the watchers useless. */
  unwatch(): void {
    for (const { event } of this.#watchers.splice(0)) this.#events.give(event)
    this.#watched = this.#passed
  }

  /** Blocks until everything that was freed so far can be used again. @throws DeviceLostError, CudaError */
  await(): void {
    if (this.#passed === this.#frees || this.#stream === undefined) return
    if (this.#captures.isCapturingForAnyone(this.#stream)) return this.#awaitWatched()
    this.#streams.await(this.#stream)
    this.passedAll()
  }

  /** A captured stream cannot be waited for, but what is watched was freed before that. */
  #awaitWatched(): void {
    const newest = this.#watchers.at(-1)
    if (newest === undefined) return
    const status = this.#context.calls.cuEventSynchronize(newest.event)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", newest.event)
    this.#popPassed(MOST_WATCHERS)
  }

  /** The stream is being destroyed. */
  end(): void {
    this.unwatch()
    this.#stream = undefined
  }
}

/**
 * How many of the frees on a stream have happened. Events are recorded after some of the frees, and queried when the next
 * one is recorded or when memory is needed. A position must never count as passed before the stream has passed it.
 */
import type { Progress } from "../../allocator/pending-frees.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/event-pool.js"
import { SUCCESS } from "../api/status.js"
import type { Streams } from "../stream/streams.js"

/** The most watchers of one stream. A stream that is further behind gets new ones when it catches up. */
const MOST_WATCHERS = 64

/** An event after a free. */
interface Watcher {
  readonly event: EventHandle
  /** The free's position. */
  readonly position: number
}

/** The progress of one stream. A position is the number of a free on it. */
export class StreamProgress implements Progress {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #events: EventPool
  /** Undefined once it is destroyed: then {@link passedAll} reports its end. */
  #stream: StreamHandle | undefined
  #frees = 0
  #passed = 0
  /** The events that are not known to be complete, oldest first. */
  readonly #watchers: Watcher[] = []
  /** The position of the newest watcher. */
  #watched = 0

  constructor(context: CudaContext, streams: Streams, captures: Captures, events: EventPool, stream: StreamHandle) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#events = events
    this.#stream = stream
  }

  /** Counts one more free and returns its position. */
  countFree(): number {
    this.#frees += 1
    return this.#frees
  }

  hasPassed(position: number): boolean {
    return position <= this.#passed
  }

  /** Everything queued on the stream so far is over. */
  passedAll(): void {
    this.#passed = this.#frees
  }

  /** Watches the first free and every nth one after it. Never throws: a failure is retried later. */
  watch(nth: number): void {
    if ((this.#frees - this.#watched) % nth !== 0 && this.#watchers.length > 0) return
    try {
      this.#popPassed(1)
      this.#record()
    } catch {
      // Retried later. The next call that may throw reports a lost device.
    }
  }

  #record(): void {
    // On a captured stream, the record would become part of the graph.
    if (this.#stream === undefined || this.#captures.isInAnyCapture(this.#stream)) return
    if (this.#watchers.length >= MOST_WATCHERS || this.#watched === this.#frees) return
    this.#watchers.push({ event: this.#events.record(this.#stream), position: this.#frees })
    this.#watched = this.#frees
  }

  /** Queries at most `most` of the oldest watchers. */
  #popPassed(most: number): void {
    for (let count = 0; count < most; count++) {
      const oldest = this.#watchers[0]
      if (oldest === undefined || !hasPassed(this.#context, oldest.event)) return
      this.#watchers.shift()
      this.#events.release(oldest.event)
      this.#passed = Math.max(this.#passed, oldest.position)
    }
  }

  /** Updates the progress. @throws DeviceLostError, CudaError */
  refresh(): void {
    this.#popPassed(MOST_WATCHERS)
    if (this.#stream === undefined || this.#passed === this.#frees || this.#captures.isInAnyCapture(this.#stream))
      return
    if (this.#watchers.length === 0 && this.#streams.isIdle(this.#stream)) this.passedAll()
    else this.#record()
  }

  /** Drops the watchers after one of them failed. */
  unwatch(): void {
    for (const { event } of this.#watchers.splice(0)) this.#events.release(event)
    this.#watched = this.#passed
  }

  /** Blocks until everything freed so far can be reused. @throws DeviceLostError, CudaError */
  synchronize(): void {
    if (this.#passed === this.#frees || this.#stream === undefined) return
    if (this.#captures.isInAnyCapture(this.#stream)) return this.#synchronizeWatched()
    this.#streams.synchronize(this.#stream)
    this.passedAll()
  }

  /** A captured stream cannot be synchronized, but its watchers were recorded before the capture. */
  #synchronizeWatched(): void {
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

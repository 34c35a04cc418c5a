/**
 * How far a stream has come with what was freed on it. Nothing is asked while memory is at hand: one event is recorded
 * behind the first free that nobody watches, and looked at when memory is wanted.
 */
import type { Progress } from "../allocator/pending-frees.js"
import type { EventHandle, StreamHandle } from "../driver.js"
import type { Captures } from "./captures.js"
import type { CudaContext } from "./context.js"
import { type EventPool, hasPassed } from "./events.js"
import type { Streams } from "./streams.js"

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
  /** Recorded behind the free that `#watched` counts. */
  #watcher: EventHandle | undefined
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

  /** Has an event tell of the latest free, unless one is there already. Never throws: it is tried again later. */
  watch(): void {
    if (this.#watcher !== undefined) return
    try {
      this.#record()
    } catch {
      // See above. A lost device is noticed by the next call that may throw.
    }
  }

  #record(): void {
    // On a captured stream, the record would become part of the graph.
    if (this.#stream === undefined || this.#captures.isCapturing(this.#stream)) return
    this.#watcher = this.#events.record(this.#stream)
    this.#watched = this.#frees
  }

  /** Finds out how far it has come. @throws DeviceLostError, CudaError */
  refresh(): void {
    if (this.#watcher !== undefined) {
      if (!hasPassed(this.#context, this.#watcher)) return
      this.#passed = Math.max(this.#passed, this.#watched)
      this.#unwatch()
    }
    if (this.#stream === undefined || this.#passed === this.#frees) return
    if (this.#captures.isCapturing(this.#stream)) return
    if (this.#streams.isIdle(this.#stream)) this.passedAll()
    else this.#record()
  }

  /** Blocks until everything that was freed so far can be used again. @throws DeviceLostError, CudaError */
  await(): void {
    if (this.#passed === this.#frees || this.#stream === undefined) return
    if (this.#captures.isCapturing(this.#stream)) return
    this.#streams.await(this.#stream)
    this.passedAll()
  }

  /** The stream is being destroyed. */
  end(): void {
    this.#unwatch()
    this.#stream = undefined
  }

  #unwatch(): void {
    if (this.#watcher !== undefined) this.#events.give(this.#watcher)
    this.#watcher = undefined
  }
}

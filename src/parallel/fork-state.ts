import type { CaptureLink } from "../runtime/order/capture.js"
import { AuxstreamError, DeviceLostError } from "../common/errors.js"
import { outsideCaptures } from "../runtime/device/context.js"
import { warnOnce } from "../common/warn.js"
import type { LingeringEvent } from "../runtime/order/event-pool.js"
import { RecordPoint } from "../runtime/order/record-point.js"
import { showThrown } from "../common/show.js"
import type { Stream } from "../runtime/device/stream.js"
import type { PoolLease } from "../runtime/device/stream-pool.js"
import type { Region } from "../runtime/order/observer/region.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { warn } from "../common/warn.js"

/** Forks that have not been joined yet. */
const unjoined = new FinalizationRegistry<ForkState>((state) => state.abandon())

/** The part of a fork that outlives a forgotten {@link Fork}. It must never refer to that object. */
export class ForkState {
  readonly stream: Stream
  disposed = false
  /** Whether `join()` was called, so that the promise delivers an error of the async function. */
  delivered = false
  readonly #origin: StreamState
  /** The capture that the fork belongs to, if any. Its end joins all forks that are still unjoined. */
  readonly #capture: CaptureLink | undefined
  /** The lease of the stream, if it comes from the pool. */
  readonly #lease: PoolLease | undefined
  /** The fork's region, if there was an observer when it began. */
  readonly #region: Region | undefined
  /** The point after the fork's work, once its function has ended. */
  readonly #point = new RecordPoint()
  /** Recorded after the fork's work. Released at the first join, but usually still there for further joins. */
  #event: LingeringEvent | undefined
  #joined = false
  #promise: Promise<unknown> | undefined

  constructor(origin: StreamState, stream: Stream, lease: PoolLease | undefined, region: Region | undefined) {
    this.#origin = origin
    this.#capture = origin.capture?.link
    this.stream = stream
    this.#lease = lease
    this.#region = region
  }

  /** If `fork` is garbage-collected before a join, its original stream joins it. */
  watch(fork: object): void {
    unjoined.register(fork, this, this)
  }

  /** Called when the function has ended: records the event that a join waits for. */
  finish(): void {
    const { state } = this.stream
    if (state === this.#origin) {
      this.#point.clock = state.clock
      // Without an event, observers could not tell what a join on another stream waits for.
      return state.order.observer?.recorded(state, this.#point)
    }
    const event = state.order.events.acquire()
    try {
      state.record(event, this.#point)
      this.#event = { handle: event }
    } catch {
      this.#point.clock = state.clock
      state.order.events.release(event) // The join fails the same way and reports the error.
    }
  }

  /** Calls {@link finish} when the promise settles. `join()` reports a rejection, so it is no unhandled one here. */
  finishAfter(promise: Promise<unknown>): Promise<unknown> {
    const finished = promise.finally(() => this.finish())
    finished.catch(() => {})
    this.#promise = finished
    return finished
  }

  /** Makes a stream wait for the fork's work. */
  joinOn(stream: StreamState): void {
    const { state } = this.stream
    stream.enter()
    this.#checkBorder(stream)
    const event = this.#event?.handle
    if (event !== undefined) stream.wait(event, this.#point, !state.shared)
    else this.#joinAgainOn(stream)
    this.release()
  }

  get #isCaptureOver(): boolean {
    return this.#capture !== undefined && this.#capture.capture === undefined
  }

  /** A fork must be joined inside the capture in which it was made, or outside of all captures if it was made outside. */
  #checkBorder(stream: StreamState): void {
    if (stream.capture?.link === this.#capture) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      this.#capture === undefined
        ? "A fork that was made outside a capture cannot be joined inside it. Join it before or after the capture."
        : "A fork that was made inside a capture cannot be joined outside it. The capture joins it at its end; outside, " +
            "wait for a launch of the graph.",
    )
  }

  /** A further join after the event was released: skips the wait if the clock shows the order, else waits for the stream. */
  #joinAgainOn(stream: StreamState): void {
    const { state } = this.stream
    if (state === stream) return
    const addsNothing = this.#point.isBefore(stream) && !state.shared && !state.order.isCapturedByOthers(state)
    stream.order.observer?.waited(stream, this.#point, !addsNothing)
    if (!addsNothing) stream.order.unobserved(() => stream.waitFor(state))
  }

  /** Like {@link joinOn}, but returns errors instead of throwing them. */
  tryToJoinOn(stream: StreamState): unknown[] {
    try {
      this.joinOn(stream)
      return []
    } catch (error) {
      return [error]
    }
  }

  /** Releases the stream's lease and the event: the fork has been joined, or cannot be joined any more. */
  release(): void {
    if (this.#joined) return
    this.#joined = true
    unjoined.unregister(this)
    this.#lease?.end()
    this.#region?.end()
    const event = this.#event
    if (event?.handle === undefined) return
    const { events } = this.stream.state.order
    if (this.#capture === undefined) return events.releaseLate(event)
    events.release(event.handle)
    this.#event = undefined
  }

  /** Joins the fork on the current stream, now or when its function has ended. */
  dispose(current: () => StreamState): void {
    if (this.disposed) return
    this.disposed = true
    if (this.#joined) return
    if (this.#origin.order.closed) return this.release()
    try {
      this.#joinWhenFinished(current())
    } catch (error) {
      warnUnjoined(error)
      this.release()
    }
  }

  /** The fork was garbage-collected before a join: its original stream joins it. */
  abandon(): void {
    if (this.#joined || this.disposed) return
    if (this.#capture !== undefined) return this.release()
    warnOnce(
      "abandoned fork",
      `A fork on ${this.stream.name} was never joined, so ${this.#origin.name} waits for it now. Call join(), or declare the fork with \`using\`.`,
      "AUX_UNJOINED",
    )
    this.disposed = true
    this.#joinWhenFinished(this.#origin)
  }

  #joinWhenFinished(stream: StreamState): void {
    if (this.#joined) return
    if (this.#promise === undefined) return this.#joinOrWarn(stream)
    const join = () => this.#joinOrWarn(stream)
    void this.#promise.then(join, (error: unknown) => {
      join()
      if (!this.delivered)
        warn("AUX_UNJOINED", `A fork failed and was disposed of without join(): ${showThrown(error)}`)
    })
  }

  #joinOrWarn(stream: StreamState): void {
    if (stream.order.closed) return
    if (stream.disposed || this.#isCaptureOver) return this.release()
    let errors = this.tryToJoinOn(stream)
    // A capture cannot join a fork from outside it. Then the original stream does.
    if (errors.length > 0 && stream !== this.#origin) errors = outsideCaptures(() => this.tryToJoinOn(this.#origin))
    if (errors.length === 0) return
    for (const error of errors) warnUnjoined(error)
    this.release()
  }
}

/** A lost device says so at every other call. Disposing of what was made from it is quiet. */
function warnUnjoined(error: unknown): void {
  if (error instanceof DeviceLostError) return
  warn("AUX_UNJOINED", `A fork could not be joined: ${showThrown(error)}`)
}

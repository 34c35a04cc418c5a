import type { CaptureLink } from "../runtime/order/capture.js"
import { AuxstreamError } from "../common/errors.js"
import { outsideCaptures } from "../runtime/device/context.js"
import { warnOnce } from "../common/warn.js"
import type { LingeringEvent } from "../runtime/order/event-pool.js"
import { RecordPoint } from "../runtime/order/record-point.js"
import { showThrown } from "../common/show.js"
import type { Stream } from "../runtime/device/stream.js"
import type { PoolLease } from "../runtime/device/stream-pool.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { warn } from "../common/warn.js"

/** Forks that nobody has joined yet. */
const unjoined = new FinalizationRegistry<ForkState>((state) => state.abandon())

/** A fork below its public face: what outlives a forgotten {@link Fork}. */
export class ForkState {
  readonly stream: Stream
  disposed = false
  /** Has anybody asked for the result of an async function? */
  delivered = false
  readonly #origin: StreamState
  /** What the fork takes part in: its end joins whatever nobody has joined. */
  readonly #capture: CaptureLink | undefined
  /** Of the stream, if it is one of the pool's. */
  readonly #lease: PoolLease | undefined
  /** What the fork's work is ordered behind and contains, once its function is over. */
  readonly #point = new RecordPoint()
  /** Behind the fork's work. Given back at the first join, but further joins can mostly still wait for it. */
  #event: LingeringEvent | undefined
  #joined = false
  #promise: Promise<unknown> | undefined

  constructor(origin: StreamState, stream: Stream, lease: PoolLease | undefined) {
    this.#origin = origin
    this.#capture = origin.capture?.link
    this.stream = stream
    this.#lease = lease
  }

  /** Should `fork` be collected before anybody has joined, the stream that it came from does. */
  watch(fork: object): void {
    unjoined.register(fork, this, this)
  }

  /** The function is over: what it queued is what has to be joined. */
  finish(): void {
    const { state } = this.stream
    this.#point.clock = state.clock
    if (state === this.#origin) return
    const event = state.order.events.take()
    try {
      state.record(event, this.#point)
      this.#event = { handle: event }
    } catch {
      state.order.events.give(event) // The join meets the same failure, and says so.
    }
  }

  /** The same once the function's promise has settled. An error is held for whoever joins. */
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

  /** A fork is joined on its side of a capture's border. */
  #checkBorder(stream: StreamState): void {
    if (stream.capture?.link === this.#capture) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      this.#capture === undefined
        ? "a fork that was made outside the capture cannot be joined in it: join it before, or after the capture"
        : "a fork that was made inside a capture cannot be joined outside: join it inside, where it is joined at the end " +
            "in any case, and outside wait for what is behind a launch",
    )
  }

  /** Without the event, the order is found in the clock, or the whole stream is waited for. */
  #joinAgainOn(stream: StreamState): void {
    const { state } = this.stream
    if (state === stream) return
    const addsNothing = this.#point.isCoveredBy(stream) && !state.shared && !state.order.isCapturedByOthers(state)
    if (!addsNothing) stream.waitFor(state)
  }

  /** The same; returns the errors instead of throwing them. */
  tryToJoinOn(stream: StreamState): unknown[] {
    try {
      this.joinOn(stream)
      return []
    } catch (error) {
      return [error]
    }
  }

  /** It has been joined, or cannot be: gives back what is held for that. */
  release(): void {
    if (this.#joined) return
    this.#joined = true
    unjoined.unregister(this)
    this.#lease?.end()
    const event = this.#event
    if (event?.handle === undefined) return
    const { events } = this.stream.state.order
    if (this.#capture === undefined) return events.giveLate(event)
    events.give(event.handle)
    this.#event = undefined
  }

  /** Joins the stream that disposes of the fork, now or when its function is over. */
  dispose(current: () => StreamState): void {
    if (this.disposed) return
    this.disposed = true
    if (this.#joined) return
    try {
      this.#joinWhenFinished(current())
    } catch (error) {
      warn("AUX_UNJOINED", `A fork could not be joined: ${showThrown(error)}`) // There is no current stream here.
      this.release()
    }
  }

  /** Nobody can join any more: the stream that the fork came from does. */
  abandon(): void {
    if (this.#joined || this.disposed) return
    if (this.#capture !== undefined) return this.release()
    warnOnce(
      "abandoned fork",
      `A fork on ${this.stream.name} was never joined; ${this.#origin.name} waits for it now. Call join(), or declare it with \`using\`.`,
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
    // A capture that the fork is no part of cannot join it.
    if (errors.length > 0 && stream !== this.#origin) errors = outsideCaptures(() => this.tryToJoinOn(this.#origin))
    if (errors.length === 0) return
    for (const error of errors) warn("AUX_UNJOINED", `A fork could not be joined: ${showThrown(error)}`)
    this.release()
  }
}

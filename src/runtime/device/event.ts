import {
  attempt,
  checkCompletionOptions,
  type CompletionOptions,
  eventCompletion,
  streamCompletion,
} from "../order/completion.js"
import type { Device } from "./device.js"
import { mustBe } from "../../common/check.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import type { EventState } from "../order/event-state.js"
import { RecordPoint } from "../order/record-point.js"
import { tell } from "../order/told-failures.js"
import { showCall } from "../order/observer/observers.js"
import { checkStreamOf, currentStream } from "./current.js"
import type { Stream } from "./stream.js"

/** @internal */
export function timedInCapture(name: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} measures time, so it cannot be recorded inside a capture, where nothing runs. Record it around the launch, or ` +
      "create the event without { timing: true }.",
  )
}

/**
 * A point in a stream's order that other streams and the host can wait for. You may record an event repeatedly; the
 * latest record counts.
 *
 * Made by {@link Device.createEvent} or {@link Stream.record}. PyTorch: `torch.cuda.Event`. CUDA: `CUevent`.
 *
 * @example
 * const ready = aux.record() // the point after everything queued on aux so far
 * ready.wait(stream) // work queued on stream from now on runs after it
 * await ready.completed() // without blocking the event loop
 */
export class Event {
  /** The device of the event. */
  readonly device: Device
  /** The event's name in errors and traces. */
  readonly name: string
  /** @internal */
  readonly state: EventState
  /** @internal The point of the latest record. */
  readonly point = new RecordPoint()

  /** @internal */
  constructor(device: Device, state: EventState, name: string) {
    this.device = device
    this.state = state
    this.name = name
  }

  /**
   * The event's handle in the device's own library (`CUevent`), for other libraries. Once you read it, other code may
   * record the event. From then on no wait for it is skipped, and it is kept until you dispose of it or of its device.
   *
   * @throws DisposedError
   */
  get handle(): bigint {
    this.#checkUsable()
    this.state.share(this.point.isRecorded)
    this.point.isExposed = true
    this.device.order.observer?.exposed(this.device.order, this.point)
    return this.device.events.share(this)
  }

  /** Whether the event has been disposed of. */
  get disposed(): boolean {
    return this.state.disposed
  }

  #checkUsable(): void {
    if (this.state.disposed)
      throw new DisposedError(`${this.name} was disposed of. Create another with device.createEvent().`)
  }

  /**
   * Records the event after everything queued on the stream so far. This replaces the previous record; waits that were queued
   * before keep theirs. CUDA: `cuEventRecord`.
   *
   * @param stream default: the current stream of the event's device
   * @returns this event
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING
   */
  record(stream?: Stream): this {
    this.device.order.named()
    if (stream === undefined) return this.recordOn(currentStream(this.device))
    checkStreamOf(this.device, stream, this.name)
    return this.recordOn(stream)
  }

  /** @internal Like {@link record}, on a stream that is known to be of the event's device. */
  recordOn(stream: Stream): this {
    const { state } = this
    if (state.isPlain) stream.state.record(state.handle, this.point)
    else this.#recordSlowly(stream)
    return this
  }

  #recordSlowly(stream: Stream): void {
    this.#checkUsable()
    if (this.state.timing && stream.state.capture !== undefined) throw timedInCapture(this.name)
    this.state.renew((handle) => stream.state.record(handle, this.point))
  }

  /**
   * Makes everything queued on the stream later run after the event's latest record. Does nothing if the event was never
   * recorded. CUDA: `cuStreamWaitEvent`.
   *
   * @param stream the stream that waits; default: the current stream of the event's device
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING
   */
  wait(stream?: Stream): void {
    this.device.order.named()
    if (stream === undefined) return this.waitOn(currentStream(this.device))
    checkStreamOf(this.device, stream, this.name)
    this.waitOn(stream)
  }

  /** @internal Like {@link wait}, for a stream that is known to be of the event's device. */
  waitOn(stream: Stream): void {
    const { state, point } = this
    if (state.isPlain && point.isRecorded) stream.state.wait(state.handle, point, true)
    else this.#waitSlowly(stream)
  }

  #waitSlowly(stream: Stream): void {
    this.#checkUsable()
    if (!this.point.isRecorded && !this.state.shared) return stream.state.enter()
    stream.state.wait(this.state.handle, this.#known, !this.state.shared)
  }

  /** What the latest record tells about order: nothing if the event is shared, because another library may have made it. */
  get #known(): RecordPoint {
    return this.state.shared ? this.point.withoutClock() : this.point
  }

  #checkLook(what: string): void {
    this.device.order.named()
    this.#checkUsable()
    this.device.order.captures.checkLook(this.point.capture, this.name, what)
  }

  /**
   * Whether everything before the latest record is done. True if the event was never recorded. CUDA: `cuEventQuery`.
   *
   * @throws AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING; if the stream broke before the record, the error that broke it
   */
  query(): boolean {
    this.#checkLook("be queried")
    if (!this.point.isRecorded && !this.state.shared) return true
    let passed: boolean
    try {
      passed = this.device.driver.events.query(this.state.handle)
    } catch (error) {
      throw this.#failed(error)
    }
    if (passed) this.device.order.programLearns(this.#known)
    return passed
  }

  /**
   * Blocks the calling thread until everything before the latest record is done. CUDA: `cuEventSynchronize`.
   *
   * @throws the same errors as {@link query}
   */
  synchronize(): void {
    this.#checkLook("be synchronised")
    if (!this.point.isRecorded && !this.state.shared) return
    if (this.device.order.isWatched) showCall("synchronize", () => this.#synchronize())
    else this.#synchronize()
  }

  #synchronize(): void {
    try {
      this.device.driver.events.synchronize(this.state.handle)
    } catch (error) {
      throw this.#failed(error)
    }
    this.device.order.programLearns(this.#known)
  }

  /** Notes that the program sees a failure before the latest record. @returns the error */
  #failed(error: unknown): unknown {
    this.device.order.programSeesFailure(this.#known, error)
    return tell(error)
  }

  /**
   * Resolves once everything before the latest record at the time of the call is done. Does not block the event loop.
   * Keeps the process alive.
   *
   * @param options a signal that ends the wait
   * @param options.signal rejects the promise with its reason; the queued work continues
   * @throws (as a rejection) the same errors as {@link query}
   */
  completed(options: CompletionOptions = {}): Promise<void> {
    return showCall("completed", () => attempt(() => this.#completion(options)))
  }

  #completion(options: CompletionOptions): Promise<void> {
    this.#checkLook("be waited for")
    checkCompletionOptions(options)
    const { state } = this
    if (this.#isSharedWithOthers) return this.#relayedCompletion(options)
    if (!this.point.isRecorded) return Promise.resolve()
    const { order } = this.device
    const point = this.point.copy()
    order.observer?.copied(this.point, point)
    const held = state.hold()
    const release = () => state.unhold(held)
    return eventCompletion(order, held.handle, point, options, release)
  }

  /** Whether other code may record the event, or queue work after it on its stream. */
  get #isSharedWithOthers(): boolean {
    return this.state.shared || this.point.isOnShared
  }

  /**
   * Other code may record a shared event again at any time. So an internal stream waits for the event, and the promise is
   * that stream's.
   */
  #relayedCompletion(options: CompletionOptions): Promise<void> {
    // If the event was recorded in another library's capture, this throws before the internal stream would join that capture.
    if (this.query()) return Promise.resolve()
    const { order } = this.device
    const relay = order.createStream(order.driver.priorities.least, `the internal stream that waits for ${this.name}`)
    try {
      relay.wait(this.state.handle, this.#known, false)
      return streamCompletion(relay, options)
    } finally {
      order.disposeStream(relay)
    }
  }

  /**
   * The time from this event's latest record to that of `end`, in milliseconds. CUDA: `cuEventElapsedTime`.
   *
   * @param end an event of the same device
   * @throws AuxstreamError AUX_NOT_READY unless both events were created with `{ timing: true }`, were recorded, and are done;
   * AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED
   * @example
   * const begin = device.createEvent({ timing: true }).record()
   * layer(x)
   * const end = device.createEvent({ timing: true }).record()
   * await end.completed()
   * console.log(begin.elapsedTime(end), "ms")
   */
  elapsedTime(end: Event): number {
    if (!(end instanceof Event)) {
      throw mustBe("end", "an Event", end)
    }
    if (end.device !== this.device) {
      throw new AuxstreamError(
        "AUX_DEVICE_MISMATCH",
        `\`end\` must be an event of ${this.device.id}, like ${this.name}; got ${end.name} of ${end.device.id}`,
      )
    }
    for (const event of [this, end]) event.#checkTimed()
    return this.device.driver.events.elapsedTime(this.state.handle, end.state.handle)
  }

  #checkTimed(): void {
    this.#checkUsable()
    const missing = !this.state.timing
      ? "was created without { timing: true }. Create it with that option."
      : !this.point.isRecorded
        ? "was never recorded. Record it first."
        : !this.query()
          ? "is not done yet. Call synchronize() or await completed() first."
          : undefined
    if (missing !== undefined) throw new AuxstreamError("AUX_NOT_READY", `${this.name} ${missing}`)
  }

  /** Ends the event; does not wait. Waits that were queued for it stay valid. */
  dispose(): void {
    this.device.events.dispose(this.state)
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

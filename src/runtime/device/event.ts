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
import { telling } from "../order/told-failures.js"
import { checkStreamOf, currentStream } from "./current.js"
import type { Stream } from "./stream.js"

/** @internal */
export function timedInCapture(name: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} takes the time and cannot be recorded inside a capture, where nothing runs; record it around the launches, ` +
      "or make the event without { timing: true }",
  )
}

/**
 * A point in a stream's order that other streams and the host can wait for.
 *
 * Made by {@link Device.createEvent} or {@link Stream.record}. In the words of PyTorch, `torch.cuda.Event`; of CUDA,
 * `cuEventRecord` and `cuStreamWaitEvent`.
 */
export class Event {
  /** The device whose streams it orders. */
  readonly device: Device
  /** Its name in errors and traces. */
  readonly name: string
  /** @internal */
  readonly state: EventState
  /** @internal What its latest record is ordered behind. */
  readonly point = new RecordPoint()

  /** @internal */
  constructor(device: Device, state: EventState, name: string) {
    this.device = device
    this.state = state
    this.name = name
  }

  /**
   * The event's number in the device's own library (`CUevent`), for use with other libraries. Reading it means that
   * others may record and wait, too, so that no wait for this event is elided from then on, and that it stays until it or
   * its device is disposed of.
   */
  get handle(): bigint {
    this.#checkUsable()
    this.state.share(this.point.isRecorded)
    return this.device.shareEvent(this)
  }

  /** Has it been disposed of? */
  get disposed(): boolean {
    return this.state.disposed
  }

  #checkUsable(): void {
    if (this.state.disposed) throw new DisposedError(`${this.name} was disposed of; create another event`)
  }

  /**
   * Marks the point behind everything that is queued on the stream so far, in place of the point marked before. Waits
   * that are queued already keep theirs.
   *
   * @param stream the current stream of the event's device unless given
   */
  record(stream?: Stream): this {
    if (stream === undefined) return this.recordOn(currentStream(this.device))
    checkStreamOf(this.device, stream, this.name)
    return this.recordOn(stream)
  }

  /** @internal The same on a stream that is known to be of the event's device. */
  recordOn(stream: Stream): this {
    const { state } = this
    if (state.isPlain) stream.state.record(state.handle, this.point)
    else this.#recordWithCare(stream)
    return this
  }

  #recordWithCare(stream: Stream): void {
    this.#checkUsable()
    if (this.state.timing && stream.state.capture !== undefined) throw timedInCapture(this.name)
    this.state.renew((handle) => stream.state.record(handle, this.point))
  }

  /**
   * Makes what is queued on the stream later run after the latest record. Without one it does nothing.
   *
   * @param stream the stream that waits: the current one of the event's device unless given
   */
  wait(stream?: Stream): void {
    if (stream === undefined) return this.waitOn(currentStream(this.device))
    checkStreamOf(this.device, stream, this.name)
    this.waitOn(stream)
  }

  /** @internal The same for a stream that is known to be of the event's device. */
  waitOn(stream: Stream): void {
    const { state, point } = this
    if (state.isPlain && point.isRecorded) stream.state.wait(state.handle, point, true)
    else this.#waitWithCare(stream)
  }

  #waitWithCare(stream: Stream): void {
    this.#checkUsable()
    if (!this.point.isRecorded && !this.state.shared) return stream.state.enter()
    stream.state.wait(this.state.handle, this.#known, !this.state.shared)
  }

  /** What a passed record says. A shared event's may be another library's, of whose order nothing is known. */
  get #known(): RecordPoint {
    return this.state.shared ? this.point.withoutClock() : this.point
  }

  #checkLook(what: string): void {
    this.#checkUsable()
    this.device.order.captures.checkLook(this.point.capture, this.name, what)
  }

  /** Is the latest record's point passed? True if never recorded. Throws what broke the stream before it. */
  query(): boolean {
    this.#checkLook("be queried")
    if (!this.point.isRecorded && !this.state.shared) return true
    const passed = telling(() => this.device.driver.queryEvent(this.state.handle))
    if (passed) this.device.order.hostLearns(this.#known.wholeClock)
    return passed
  }

  /** Blocks the calling thread until the latest record's point is passed. */
  synchronize(): void {
    this.#checkLook("be synchronised")
    if (!this.point.isRecorded && !this.state.shared) return
    telling(() => this.device.driver.synchronizeEvent(this.state.handle))
    this.device.order.hostLearns(this.#known.wholeClock)
  }

  /** A promise of the latest record's point, bound at the call. Does not block the event loop. */
  completed(options: CompletionOptions = {}): Promise<void> {
    return attempt(() => this.#completion(options))
  }

  #completion(options: CompletionOptions): Promise<void> {
    this.#checkLook("be waited for")
    checkCompletionOptions(options)
    const { state } = this
    if (this.#isOthersToo) return this.#relayedCompletion(options)
    if (!this.point.isRecorded) return Promise.resolve()
    const borrowed = state.lend()
    const giveBack = () => state.giveBack(borrowed)
    return eventCompletion(this.device.order, borrowed.handle, this.point.wholeClock, options, giveBack)
  }

  /** May others record it, too, or queue behind it on its stream? */
  get #isOthersToo(): boolean {
    return this.state.shared || this.point.isOnShared
  }

  /**
   * Others may record a shared event at any time, and queue behind one on a shared stream, so that a stream of its own
   * has to hold the point.
   */
  #relayedCompletion(options: CompletionOptions): Promise<void> {
    // An event recorded in another library's capture throws here, before it brings one of our own streams into that capture.
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
   * Milliseconds from this event's latest record to that of `end`.
   *
   * @throws AuxstreamError AUX_NOT_READY unless both were made with `{ timing: true }`, recorded, and are passed
   */
  elapsedTime(end: Event): number {
    if (!(end instanceof Event)) {
      throw mustBe("end", "an Event", end)
    }
    if (end.device !== this.device) {
      throw new AuxstreamError(
        "AUX_DEVICE_MISMATCH",
        `${end.name} is of ${end.device.id}, ${this.name} of ${this.device.id}; time is measured on one device`,
      )
    }
    for (const event of [this, end]) event.#checkTimed()
    return this.device.driver.elapsedTime(this.state.handle, end.state.handle)
  }

  #checkTimed(): void {
    this.#checkUsable()
    const missing = !this.state.timing
      ? "was made without { timing: true }"
      : !this.point.isRecorded
        ? "was never recorded"
        : !this.query()
          ? "is not passed yet: synchronize() it first"
          : undefined
    if (missing !== undefined) throw new AuxstreamError("AUX_NOT_READY", `${this.name} ${missing}`)
  }

  /** Gives the event back. Waits that are queued on it go on. */
  dispose(): void {
    this.device.disposeEvent(this.state)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

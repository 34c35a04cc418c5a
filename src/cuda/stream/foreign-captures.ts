/**
 * Which of our streams and events may be part of another library's capture: those whose handles others know, and what
 * comes in by waiting for them. CUDA tells it of a stream; but to ask an event that was recorded in a capture, or to wait
 * for it, spoils the capture (measured on an H100, driver 580), so it has to be known before.
 */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { CudaContext } from "../api/context.js"
import { recordedInCapture } from "../api/errors.js"
import { HandleSet } from "./handle-set.js"

/** What others may capture of one device. */
export class ForeignCaptures {
  readonly #context: CudaContext
  readonly #knownStreams = new HandleSet()
  readonly #knownEvents = new HandleSet()
  /** Streams that waited for what may have been captured. */
  readonly #broughtIn = new HandleSet()
  /** Events whose latest record of ours is part of a capture. */
  readonly #captured = new HandleSet()

  constructor(context: CudaContext) {
    this.#context = context
  }

  /** Others know the stream. */
  shareStream(stream: StreamHandle): void {
    this.#context.othersMayCapture = true
    this.#knownStreams.add(stream)
  }

  /** Others know the event. */
  shareEvent(event: EventHandle): void {
    this.#context.othersMayCapture = true
    this.#knownEvents.add(event)
  }

  mayInclude(stream: StreamHandle): boolean {
    return this.#context.othersMayCapture && (this.#knownStreams.has(stream) || this.#broughtIn.has(stream))
  }

  /** We have recorded the event on the stream, which was captured or not. */
  noteRecord(event: EventHandle, stream: StreamHandle, isCaptured: boolean): void {
    if (isCaptured) {
      this.#captured.add(event)
    } else {
      this.#captured.delete(event)
      this.#broughtIn.delete(stream)
    }
  }

  /** We have the stream wait for the event. */
  noteWait(stream: StreamHandle, event: EventHandle): void {
    if (this.#captured.has(event) || this.#knownEvents.has(event)) this.#broughtIn.add(stream)
  }

  /** @throws AuxstreamError AUX_STREAM_CAPTURING for an event that is recorded in a capture */
  checkLook(event: EventHandle): void {
    if (this.#captured.has(event)) throw recordedInCapture()
  }

  /** Why a wait for the event failed: of one that is recorded in a capture, all know but the driver's error. */
  explain(error: unknown, event: EventHandle): unknown {
    return this.#captured.has(event) ? recordedInCapture(error) : error
  }

  /** The stream is destroyed: its number may come again. */
  forgetStream(stream: StreamHandle): void {
    this.#knownStreams.delete(stream)
    this.#broughtIn.delete(stream)
  }

  forgetEvent(event: EventHandle): void {
    this.#knownEvents.delete(event)
    this.#captured.delete(event)
  }
}

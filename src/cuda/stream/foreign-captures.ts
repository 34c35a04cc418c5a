/**
 * Tracks which streams and events may be part of another library's capture: those whose handles other libraries know, and
 * streams that waited for such events. CUDA can tell whether a stream is captured. But querying or synchronizing an event
 * that was recorded in a capture invalidates the capture (measured on an H100, driver 580), so such a call must never be
 * made, and we must know these events ourselves.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { CudaContext } from "../api/context.js"
import { recordedInCapture } from "../api/context.js"

/** The foreign captures of one device. */
export class ForeignCaptures {
  readonly #context: CudaContext
  readonly #knownStreams = new Set<number>()
  readonly #knownEvents = new Set<number>()
  /** Streams that waited for an event that may be captured. */
  readonly #entered = new Set<number>()
  /** Events whose latest record by us is part of a capture. */
  readonly #captured = new Set<number>()

  constructor(context: CudaContext) {
    this.#context = context
  }

  /** Another library knows the stream's handle. */
  shareStream(stream: StreamHandle): void {
    this.#context.othersMayCapture = true
    this.#knownStreams.add(stream)
  }

  /** Another library knows the event's handle. */
  shareEvent(event: EventHandle): void {
    this.#context.othersMayCapture = true
    this.#knownEvents.add(event)
  }

  mayInclude(stream: StreamHandle): boolean {
    return this.#context.othersMayCapture && (has(this.#knownStreams, stream) || has(this.#entered, stream))
  }

  /** We have recorded the event on the stream. */
  noteRecord(event: EventHandle, stream: StreamHandle, isCaptured: boolean): void {
    if (isCaptured) {
      this.#captured.add(event)
    } else {
      remove(this.#captured, event)
      remove(this.#entered, stream)
    }
  }

  /** We have queued a wait for the event on the stream. */
  noteWait(stream: StreamHandle, event: EventHandle): void {
    if (has(this.#captured, event) || has(this.#knownEvents, event)) this.#entered.add(stream)
  }

  /** @throws AuxstreamError AUX_STREAM_CAPTURING for an event that was recorded in a capture */
  checkNotCaptured(event: EventHandle): void {
    if (this.#captured.has(event)) throw recordedInCapture()
  }

  /** The error of a failed wait: for an event recorded in a capture, it says so instead of giving the driver's status. */
  explain(error: unknown, event: EventHandle): unknown {
    return this.#captured.has(event) ? recordedInCapture(error) : error
  }

  /** The stream is destroyed, and CUDA may reuse its handle. */
  forgetStream(stream: StreamHandle): void {
    this.#knownStreams.delete(stream)
    this.#entered.delete(stream)
  }

  forgetEvent(event: EventHandle): void {
    this.#knownEvents.delete(event)
    this.#captured.delete(event)
  }
}

/** These sets are nearly always empty, and a look into an empty `Set` still hashes the number. */
function has(set: ReadonlySet<number>, handle: number): boolean {
  return set.size > 0 && set.has(handle)
}

function remove(set: Set<number>, handle: number): void {
  if (set.size > 0) set.delete(handle)
}

/**
 * Which of our streams and events may be part of another library's capture: those whose handles others know, and what
 * comes in by waiting for them. CUDA tells it of a stream; but to ask an event that was recorded in a capture, or to wait
 * for it, spoils the capture (measured on an H100, driver 580), so it has to be known before.
 */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { CudaContext } from "../api/context.js"
import { recordedInCapture } from "../api/errors.js"

/** What others may capture of one device. */
export class ForeignCaptures {
  readonly #context: CudaContext
  readonly #knownStreams = new Set<number>()
  readonly #knownEvents = new Set<number>()
  /** Streams that waited for what may have been captured. */
  readonly #broughtIn = new Set<number>()
  /** Events whose latest record of ours is part of a capture. */
  readonly #captured = new Set<number>()

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
    return this.#context.othersMayCapture && (has(this.#knownStreams, stream) || has(this.#broughtIn, stream))
  }

  /** We have recorded the event on the stream, which was captured or not. */
  noteRecord(event: EventHandle, stream: StreamHandle, isCaptured: boolean): void {
    if (isCaptured) {
      this.#captured.add(event)
    } else {
      remove(this.#captured, event)
      remove(this.#broughtIn, stream)
    }
  }

  /** We have the stream wait for the event. */
  noteWait(stream: StreamHandle, event: EventHandle): void {
    if (has(this.#captured, event) || has(this.#knownEvents, event)) this.#broughtIn.add(stream)
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

/** These sets are nearly always empty, and a look into an empty `Set` still hashes the number. */
function has(set: ReadonlySet<number>, handle: number): boolean {
  return set.size > 0 && set.has(handle)
}

function remove(set: Set<number>, handle: number): void {
  if (set.size > 0) set.delete(handle)
}

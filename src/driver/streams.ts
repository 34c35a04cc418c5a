/**
 * A device's streams. `destroy` never blocks and cancels nothing: queued work still runs. The handle must not be used after
 * that call.
 */
import type { EventHandle, StreamHandle } from "./handles.js"

/** A device's streams. */
export interface DriverStreams {
  /** Creates a stream without any implied order with other streams. The name is for errors. */
  create(priority: number, name?: string): StreamHandle
  /**
   * Queued work is finished first. A stream in a foreign capture is destroyed after that capture. An adopted stream is only
   * released: its owner destroys it.
   */
  destroy(stream: StreamHandle): void
  /** Adopts a stream that another library created. */
  adopt(foreign: bigint): StreamHandle
  /** The priority of an adopted stream. */
  priorityOf(stream: StreamHandle): number
  /** The stream's handle for other libraries. */
  foreignHandle(stream: StreamHandle): bigint
  /** Whether another library is capturing the stream, so that an event recorded there does not mark the earlier work. */
  isCapturedByOthers(stream: StreamHandle): boolean
  /** Watches the stream's failures without calling the device's library. Absent if a failure loses the device. */
  watchFailures?(stream: StreamHandle): StreamFailures
  /** Whether everything queued so far is done. Throws the error that broke the stream. */
  query(stream: StreamHandle): boolean
  /** Blocks the calling thread until everything queued so far is done. Throws the error that broke the stream. */
  synchronize(stream: StreamHandle): void
  wait(stream: StreamHandle, event: EventHandle): void
}

/** The failures of one stream, on devices where a failure breaks only its own stream. Valid after the stream's end, too. */
export interface StreamFailures {
  /** Whether any stream of the device has ever been broken. Until then, no stream needs a check. */
  readonly arePossible: boolean
  /** The end of the stream's queue. It grows with every queued operation. */
  readonly position: number
  /** Whether every operation up to a position has run, or was skipped because of a failure. */
  hasPassed(position: number): boolean
  /**
   * The error that broke the stream at or before a position, if known; always the same object. Operations up to that
   * position may still be waiting to be skipped.
   */
  before(position: number): Error | undefined
}

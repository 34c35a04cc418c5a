/**
 * A device's events. `destroy` never blocks and cancels nothing: streams that wait for the event still do. The handle must
 * not be used after that call.
 */
import type { EventHandle, StreamHandle } from "./handles.js"

/** A device's events. */
export interface DriverEvents {
  create(timing: boolean): EventHandle
  destroy(event: EventHandle): void
  /** The event's handle for other libraries. */
  foreignHandle(event: EventHandle): bigint
  /** @returns whether another library is capturing the stream. During one of our own captures, either value. */
  record(event: EventHandle, stream: StreamHandle): boolean
  /** Whether the latest record is complete; true if never recorded. Throws the error that broke the stream before it. */
  query(event: EventHandle): boolean
  /** Blocks the calling thread until the latest record is complete. Throws as `query` does. */
  synchronize(event: EventHandle): void
  /** Milliseconds between two complete records of events created with timing. */
  elapsedTime(start: EventHandle, end: EventHandle): number
  /**
   * Calls `settle` once the latest record at the call is complete, with the error if `query` would throw. Keeps the
   * process alive until then, and does not block. After a call of the returned function, `settle` is never called.
   */
  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void
}

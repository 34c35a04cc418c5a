/**
 * Who looks at what is queued: a trace, a sanitizer, a region that places operations on streams. An observer may refuse an
 * operation, and choose the stream of one whose caller named none. It must change nothing else about it.
 */
import type { Ordered } from "./clock.js"
import type { DeviceOrder } from "./device-order.js"
import type { Operation } from "./operation.js"
import type { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"

/** Sees each operation before it is queued, and everything that orders operations. A method does nothing unless overridden. */
export class OperationObserver {
  /**
   * Chooses the stream of an operation whose caller named none. It may have that stream wait for others.
   *
   * @returns a live stream of the same device: `operation.stream`, which is the current one, or another
   */
  place(operation: Operation): StreamState {
    return operation.stream
  }

  /**
   * An operation is about to be queued, and nothing has been done for it yet. If this throws, everything stays as it is.
   * Otherwise either {@link accepted} or {@link refused} follows with the same object, once.
   */
  before(_operation: Operation): void {}

  /** The driver has accepted the operation, which is the stream's `tick`th. Must not throw. */
  accepted(_operation: Operation, _tick: number): void {}

  /** The operation could not be queued, and nothing of it was. Must not throw. */
  refused(_operation: Operation, _error: unknown): void {}

  /** `point` stands for all that is queued on the stream so far. An event has one point for all of its records. */
  recorded(_stream: StreamState, _point: RecordPoint): void {}

  /** What the stream queues next runs after `point`. `isSent` is false if the clock knew that, so that the driver was not told. */
  waited(_stream: StreamState, _point: RecordPoint, _isSent: boolean): void {}

  /** The program has learned that all work that `clock` knows is over: it synchronised, queried, or awaited a promise. */
  synchronized(_order: DeviceOrder, _clock: Ordered): void {}

  /** Memory begins at this place in the stream's order. Earlier accesses of these addresses were of other memory. */
  allocated(_stream: StreamState, _memory: object, _address: number, _byteLength: number): void {}

  /** Memory ends at this place in the stream's order. */
  freed(_stream: StreamState, _memory: object): void {}
}

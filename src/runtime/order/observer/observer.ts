/**
 * The interface for code that observes queued work: a trace, a sanitizer, or a region that places operations on streams. An
 * observer may refuse an operation, and may choose its stream if the caller named none. It must change nothing else.
 */
import type { DeviceOrder } from "../device-order.js"
import type { Operation } from "./operation.js"
import type { RecordPoint } from "../record-point.js"
import type { Region } from "./region.js"
import type { StreamState } from "../stream-state.js"

/** The calls that {@link OperationObserver.hostCalled} reports. */
export type HostCallName = "synchronize" | "completed" | "read" | "load" | "prepare"

/**
 * Sees each operation before it is queued, and everything that orders operations. A method does nothing unless overridden.
 */
export class OperationObserver {
  /**
   * Chooses the stream of an operation whose caller named none. It may make that stream wait for others.
   *
   * @returns a live stream of the same device: `operation.stream`, which is the current one, or another
   */
  place(operation: Operation): StreamState {
    return operation.stream
  }

  /**
   * Called before the program uses a stream or an event by name, or makes the host wait for the device: before an operation
   * whose stream the caller named, too. Until {@link place} is called again, the program's order is that of its streams.
   */
  named(_order: DeviceOrder): void {}

  /**
   * Called before an operation is queued. If this throws, the operation is not queued and nothing has changed. Otherwise
   * either {@link accepted} or {@link refused} follows with the same object, once.
   */
  before(_operation: Operation): void {}

  /** Called when the driver has accepted the operation, with its tick on the stream. Must not throw. */
  accepted(_operation: Operation, _tick: number): void {}

  /** Called if the operation could not be queued. Must not throw. */
  refused(_operation: Operation, _error: unknown): void {}

  /**
   * Called when an event was recorded: `point` is after everything queued on the stream so far. An event keeps the same
   * point object for all of its records.
   */
  recorded(_stream: StreamState, _point: RecordPoint): void {}

  /**
   * Called for a wait: the stream's next operation runs after `point`. `isSent` is false if the wait was skipped because
   * the clock already knew that.
   */
  waited(_stream: StreamState, _point: RecordPoint, _isSent: boolean): void {}

  /**
   * Called for a point without an event: after everything that the stream has queued so far outside of captures. A wait or
   * a synchronisation may follow.
   */
  marked(_stream: StreamState, _point: RecordPoint): void {}

  /** Called for a point after everything that the device's streams have queued so far outside of captures. Its clock is empty. */
  markedAll(_order: DeviceOrder, _point: RecordPoint): void {}

  /** Called when a promise keeps the point of an event, which may be recorded again before the promise settles. */
  copied(_point: RecordPoint, _copy: RecordPoint): void {}

  /** Called when the program reads an event's handle, so that other code may wait for the event. */
  exposed(_order: DeviceOrder, _point: RecordPoint): void {}

  /**
   * Called when the program has synchronised, queried or awaited a promise, and so knows that all operations before `point`
   * are over.
   */
  synchronized(_order: DeviceOrder, _point: RecordPoint): void {}

  /**
   * Called when the program has learned from a failed kernel's error that everything which the point's stream itself queued
   * before the point is over: it ran or was skipped.
   */
  failed(_order: DeviceOrder, _point: RecordPoint): void {}

  /** Called when a call leases a stream of the pool for itself. The program orders this lease with no earlier one. */
  leased(_stream: StreamState): void {}

  /**
   * Called when memory was allocated at this place in the stream's order, also inside a capture. Earlier accesses of these
   * addresses were of other memory.
   */
  allocated(_stream: StreamState, _memory: object, _address: number, _byteLength: number): void {}

  /** Like {@link allocated}, for memory that has no place in a stream's order: pinned memory, and globals of modules. */
  provided(_order: DeviceOrder, _memory: object, _address: number, _byteLength: number): void {}

  /**
   * Called when the first contents of memory have been queued. Uses of the memory on any stream run after them, as after
   * its allocation.
   */
  born(_stream: StreamState, _memory: object, _address: number, _byteLength: number): void {}

  /** Called when memory was freed at this place in the stream's order. */
  freed(_stream: StreamState, _memory: object, _address: number, _byteLength: number): void {}

  /** Called when a device is opened, and for each open one when the observer is installed. Must not throw. */
  opened(_order: DeviceOrder): void {}

  /** Called when a device is about to be closed. Must not throw. */
  closing(_order: DeviceOrder): void {}

  /**
   * Called when a call of the program has taken time of its thread, or a promise has settled.
   *
   * @param start when it began, in milliseconds of `sharedNow()`
   */
  hostCalled(_name: HostCallName, _start: number): void {}

  /** Called when a fork-join call begins, before it queues anything. Must not throw. */
  began(_region: Region): void {}

  /** Called when the call has been joined, after its last wait. Must not throw. */
  ended(_region: Region): void {}
}

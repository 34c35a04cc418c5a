/**
 * Captures as streams see them. What a capture keeps of memory, and what it becomes, is none of a stream's business: that
 * is the class `Capture`, which implements {@link OpenCapture} above this room.
 */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { DeviceOrder } from "./device-order.js"
import type { Operation } from "./operation.js"
import type { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"

/** A node that the next one on a stream comes directly after, and when it was counted. */
export interface Dependency {
  readonly node: number
  readonly slot: number
  readonly tick: number
}

/** A capture that is under way. */
export interface OpenCapture {
  readonly order: DeviceOrder
  readonly link: CaptureLink
  /** An operation was queued on a stream that takes part, as its `tick`th. */
  addNode(operation: Operation, tick: number): void
  /** Comes before the stream's clock learns what the point knows. */
  addWait(stream: StreamState, point: RecordPoint): void
  /** The nodes that the stream's next one comes directly after. */
  dependenciesOf(stream: StreamState): readonly Dependency[]
  /** A stream takes part from here on. `before` is recorded behind what it had queued, `handle` may stand in for it. */
  admit(stream: StreamState, before: EventHandle | undefined, handle?: StreamHandle): void
  /** May a stream that takes part in a capture around this one take part in this one, too? */
  mayAdmit(stream: StreamState): boolean
  /** Drops everything that was captured. */
  cancel(): void
}

/** How a device finds the capture that the running code belongs to. */
export interface CaptureContext {
  current(): CaptureLink | undefined
  /** Runs a function as no part of any capture. */
  outside<T>(fn: () => T): T
}

/**
 * Leads to a capture while it is under way. What may outlive it, as events, forks and the contexts of timers do, holds
 * this in its place, so as not to keep what was captured.
 */
export class CaptureLink {
  readonly order: DeviceOrder
  #capture: OpenCapture | undefined

  constructor(order: DeviceOrder, capture: OpenCapture) {
    this.order = order
    this.#capture = capture
  }

  /** Undefined once it is over. */
  get capture(): OpenCapture | undefined {
    return this.#capture
  }

  /** The capture was ended or cancelled. */
  cut(): void {
    this.#capture = undefined
  }
}

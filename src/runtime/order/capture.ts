/**
 * The interface of a capture for streams. The class `Capture` in another folder implements {@link OpenCapture}, with the
 * capture's memory and its graph, which streams must not know.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { DeviceOrder } from "./device-order.js"
import type { Operation } from "./observer/operation.js"
import type { RecordPoint } from "./record-point.js"
import type { RegionPart } from "./observer/region.js"
import type { StreamState } from "./stream-state.js"

/** A node that must run directly before a stream's next node, with the slot and tick of its operation. */
export interface Dependency {
  readonly node: number
  readonly slot: number
  readonly tick: number
}

/** A capture that has not ended. */
export interface OpenCapture {
  readonly order: DeviceOrder
  readonly link: CaptureLink
  /**
   * Adds a node for an operation that was queued on one of the capture's streams, with this tick.
   *
   * @returns the node's place in the graph
   */
  addNode(operation: Operation, tick: number): number
  /** Adds edges for a wait. Must be called before the point is merged into the stream's clock. */
  addWait(stream: StreamState, point: RecordPoint): void
  /** The nodes that must run directly before the stream's next node. */
  dependenciesOf(stream: StreamState): readonly Dependency[]
  /**
   * Makes a stream part of the capture.
   *
   * @param before an event recorded after everything that the stream has queued outside
   * @param handle the driver's stream that replaces this one during the capture, if any
   */
  admit(stream: StreamState, before: EventHandle | undefined, handle?: StreamHandle): void
  /** Whether a stream of an enclosing capture may become part of this one. */
  mayAdmit(stream: StreamState): boolean
  /** Ends the capture and drops everything that was captured. */
  cancel(): void
}

/** Finds the capture and the region of the calling code. */
export interface CaptureContext {
  current(): CaptureLink | undefined
  region(): RegionPart | undefined
  /** Runs a function outside of all captures. */
  outside<T>(fn: () => T): T
}

/**
 * A reference to a capture that is cut when the capture ends. Objects that may outlive the capture, such as events, forks
 * and the contexts of timers, refer to this instead, so that they do not keep the captured memory.
 */
export class CaptureLink {
  readonly order: DeviceOrder
  #capture: OpenCapture | undefined

  constructor(order: DeviceOrder, capture: OpenCapture) {
    this.order = order
    this.#capture = capture
  }

  /** Undefined once the capture has ended. */
  get capture(): OpenCapture | undefined {
    return this.#capture
  }

  /** Called when the capture has ended or was cancelled. */
  cut(): void {
    this.#capture = undefined
  }
}

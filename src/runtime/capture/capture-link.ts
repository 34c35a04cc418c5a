import type { Capture } from "./capture.js"
import type { DeviceOrder } from "../order/device-order.js"

/**
 * Leads to a capture while it is under way. What may outlive it, as events, forks and the contexts of timers do, holds
 * this in its place, so as not to keep what was captured.
 */
export class CaptureLink {
  readonly order: DeviceOrder
  #capture: Capture | undefined

  constructor(order: DeviceOrder, capture: Capture) {
    this.order = order
    this.#capture = capture
  }

  /** Undefined once it is over. */
  get capture(): Capture | undefined {
    return this.#capture
  }

  /** The capture was ended or cancelled. */
  cut(): void {
    this.#capture = undefined
  }
}

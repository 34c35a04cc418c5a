import type { PinnedMemory } from "../../driver.js"
import type { UsedMemory } from "./used-memory.js"
import type { DeviceOrder } from "../order/device-order.js"
import { RetainedMemory } from "./retained.js"

/**
 * The state behind a `PinnedArray`. It must not refer to the buffer, because the memory is freed when the buffer is
 * garbage-collected.
 */
export class PinnedAllocation extends RetainedMemory implements UsedMemory {
  readonly address: number
  /** Whether the array has been disposed of. A typed array over the memory may still be in use. */
  disposedByOwner = false
  readonly #order: DeviceOrder

  constructor(order: DeviceOrder, memory: PinnedMemory) {
    super()
    this.#order = order
    this.address = memory.address
    order.observer?.provided(order, this, memory.address, memory.byteLength)
  }

  /** Undefined, because JavaScript may write here, too, without the library seeing it. */
  get writes(): undefined {
    return undefined
  }

  /** Undefined, because pinned memory is allocated outside of all streams' order. */
  get birth(): undefined {
    return undefined
  }

  /** Called only after its buffer has been garbage-collected: then PinnedResources disposes of this. */
  protected override free(): void {
    this.#order.deferredReleases.add(this.uses.list(), () => this.#order.driver.memory.freePinned(this.address))
  }
}

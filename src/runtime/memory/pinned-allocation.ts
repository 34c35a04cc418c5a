import type { PinnedMemory } from "../../driver/memory.js"
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
    // Pinned memory has no birth, because it is allocated outside of all streams' order. Its writes are not recorded,
    // because JavaScript may write here, too, without the library seeing it.
    super()
    this.#order = order
    this.address = memory.address
    order.observer?.provided(order, this, memory.address, memory.byteLength)
  }

  /** Called only after its buffer has been garbage-collected: then PinnedResources disposes of this. */
  protected override free(): void {
    this.#order.deferredReleases.add(this.uses.list(), () => this.#order.driver.memory.freePinned(this.address))
  }
}

import type { PinnedMemory } from "../../driver.js"
import type { UsedMemory } from "./used-memory.js"
import type { DeviceOrder } from "../order/device-order.js"
import { RetainedMemory } from "./retained.js"

/** Pinned memory below its public face. It must not reference the buffer, because the memory is freed when the buffer is collected. */
export class PinnedAllocation extends RetainedMemory implements UsedMemory {
  readonly address: number
  /** Its owner has let go of it, and only the typed array over it may still be in use. */
  disposedByOwner = false
  readonly #order: DeviceOrder

  constructor(order: DeviceOrder, memory: PinnedMemory) {
    super()
    this.#order = order
    this.address = memory.address
  }

  /** JavaScript writes here, too, unseen: nothing can be said about the contents. */
  get writes(): undefined {
    return undefined
  }

  /** Pinned memory is in no stream's order: it is there from the start. */
  get birth(): undefined {
    return undefined
  }

  /** Not before its buffer has been collected, too: that is what PinnedResources disposes of it for. */
  protected override free(): void {
    this.#order.releaseAfter(this.uses.list(), () => this.#order.driver.memory.freePinned(this.address))
  }
}

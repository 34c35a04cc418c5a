import { warnOnce } from "./forgotten.js"
import type { PinnedAllocation } from "./pinned-allocation.js"

/**
 * Of all devices, whatever becomes of them: pinned memory whose pages may still be looked at. It is nobody's field, as a
 * registry that is collected frees nothing.
 */
const unreachable = new FinalizationRegistry<{ owner: PinnedBelongings; allocation: PinnedAllocation }>(
  ({ owner, allocation }) => owner.free(allocation),
)

/** A device's pinned memory: given back when nothing reaches its buffer any more, never before. */
export class PinnedBelongings {
  readonly #allocations = new Set<PinnedAllocation>()

  /** Keeps the allocation for as long as the buffer over it can be reached. */
  add(buffer: ArrayBufferLike, allocation: PinnedAllocation): void {
    this.#allocations.add(allocation)
    unreachable.register(buffer, { owner: this, allocation })
  }

  /** Nothing reaches the buffer. */
  free(allocation: PinnedAllocation): void {
    this.#allocations.delete(allocation)
    if (!allocation.letGo) {
      warnOnce("forgotten PinnedArray", "A PinnedArray was collected without dispose(); call it.", "AUX_FORGOTTEN")
    }
    allocation.dispose()
  }

  /** The device is closed: nobody has forgotten what is left. */
  letGo(): void {
    for (const allocation of this.#allocations) allocation.letGo = true
  }
}

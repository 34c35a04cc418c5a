import { AuxstreamError } from "../../common/errors.js"
import { warnOnce } from "../../common/warn.js"
import type { PinnedAllocation } from "./pinned-allocation.js"

/**
 * Of all devices, whatever becomes of them: pinned memory whose pages may still be looked at. It is nobody's field, as a
 * registry that is collected frees nothing.
 */
const unreachable = new FinalizationRegistry<{ owner: PinnedResources; allocation: PinnedAllocation }>(
  ({ owner, allocation }) => owner.free(allocation),
)

/** The methods of `ArrayBuffer` that detach it, of all versions of Node.js. */
const transfers = ["transfer", "transferToFixedLength", "transferToImmutable"]

/**
 * After a transfer the watched buffer would be collected while another one reaches the same pages. The methods are refused
 * here; Node.js itself refuses to transfer foreign memory by structuredClone() and postMessage(). Marking the buffer with
 * markAsUntransferable() is no way: Node.js 24 and 26 then end with a fatal error.
 */
function refuseTransfers(buffer: ArrayBufferLike): void {
  for (const name of transfers.filter((method) => method in buffer)) {
    Object.defineProperty(buffer, name, {
      value() {
        throw new AuxstreamError(
          "AUX_INVALID_ARGUMENT",
          `${name}() cannot detach the buffer of a pinned array, because the device uses its pages in place. Copy it with slice().`,
        )
      },
    })
  }
}

/** A device's pinned memory: given back when nothing reaches its buffer any more, never before. */
export class PinnedResources {
  readonly #allocations = new Set<PinnedAllocation>()

  /** Keeps the allocation for as long as the buffer over it can be reached. */
  add(buffer: ArrayBufferLike, allocation: PinnedAllocation): void {
    this.#allocations.add(allocation)
    refuseTransfers(buffer)
    unreachable.register(buffer, { owner: this, allocation })
  }

  /** Nothing reaches the buffer. */
  free(allocation: PinnedAllocation): void {
    this.#allocations.delete(allocation)
    if (!allocation.disposedByOwner) {
      warnOnce(
        "forgotten PinnedArray",
        "A PinnedArray was garbage-collected without dispose(). Call dispose(), or declare it with `using`.",
        "AUX_FORGOTTEN",
      )
    }
    allocation.dispose()
  }

  /** The device is closed: nobody has forgotten what is left. */
  markDisposed(): void {
    for (const allocation of this.#allocations) allocation.disposedByOwner = true
  }
}

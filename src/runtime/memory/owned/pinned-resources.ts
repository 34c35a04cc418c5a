import { AuxstreamError } from "../../../common/errors.js"
import { warnOnce } from "../../../common/warn.js"
import type { PinnedAllocation } from "../pinned-allocation.js"

/**
 * Watches the buffers of pinned memory of all devices, also after a device is closed. It must be a global, because a
 * registry that is garbage-collected itself frees nothing.
 */
const unreachable = new FinalizationRegistry<{ owner: PinnedResources; allocation: PinnedAllocation }>(
  ({ owner, allocation }) => owner.free(allocation),
)

/** The methods of `ArrayBuffer` that detach it. Node.js 20 has none. */
const transfers = ["transfer", "transferToFixedLength", "transferToImmutable"].filter(
  (name) => name in ArrayBuffer.prototype,
)

/**
 * Makes these methods throw for the buffer. After a transfer, the watched buffer would be collected while another buffer
 * still refers to the same pages. Node.js itself refuses to transfer such memory with structuredClone() and postMessage().
 * markAsUntransferable() cannot be used: with it, Node.js 24 and 26 end with a fatal error.
 */
function refuseTransfers(buffer: ArrayBufferLike): void {
  for (const name of transfers) if (name in buffer) refuse(buffer, name)
}

function refuse(buffer: ArrayBufferLike, name: string): void {
  Object.defineProperty(buffer, name, {
    value() {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${name}() cannot detach the buffer of a pinned array, because the device uses its pages in place. Copy it with slice().`,
      )
    },
  })
}

/** A device's pinned memory. Each piece is freed when its buffer is unreachable, never before. */
export class PinnedResources {
  readonly #allocations = new Set<PinnedAllocation>()

  /** Keeps the allocation as long as its buffer is reachable. */
  add(buffer: ArrayBufferLike, allocation: PinnedAllocation): void {
    this.#allocations.add(allocation)
    refuseTransfers(buffer)
    unreachable.register(buffer, { owner: this, allocation })
  }

  /** Called when the buffer has become unreachable. */
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

  /** The device is closed, so the remaining arrays were not forgotten, and nothing is warned about. */
  markDisposed(): void {
    for (const allocation of this.#allocations) allocation.disposedByOwner = true
  }
}

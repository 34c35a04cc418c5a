import type { Ranges } from "../../common/ranges.js"
import { endOf } from "../../common/strided.js"
import { OutOfMemoryError } from "../../common/errors.js"
import { warnOnce } from "../../common/warn.js"
import type { CheckedOperation, Checks, PinnedRead } from "../../driver/checks.js"
import { PinnedAllocation } from "../../runtime/memory/pinned-allocation.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import type { Access, Operation } from "../../runtime/order/observer/operation.js"
import { operationsIn } from "./operations.js"
import { PendingWrites } from "./pending-writes.js"

/**
 * Finds pinned memory that JavaScript changes while a queued operation still reads it. Only memory that the operation reads
 * and does not write is compared: a kernel may talk to JavaScript through memory that it also writes.
 */
export class PinnedChecks {
  readonly #order: DeviceOrder
  readonly #checks: Checks
  readonly #pending = new PendingWrites()
  /** Has the stream compare once more after an operation. */
  readonly #behind = new WeakMap<Operation, () => void>()

  constructor(order: DeviceOrder, checks: Checks) {
    this.#order = order
    this.#checks = checks
  }

  /** An operation is about to be queued, outside of captures. */
  before(operation: Operation, named: CheckedOperation): void {
    const reads = this.#readsOf(operation)
    if (reads.length === 0) return
    const { handle } = operation.stream
    try {
      const behind = this.#order.allocate(() => this.#checks.comparePinned(named, reads, handle))
      this.#behind.set(operation, behind)
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      const reason = "Pinned memory was not checked, because there was no memory for a copy of it."
      warnOnce("unchecked pinned memory", reason, "AUX_UNCHECKED")
    }
  }

  /** The operation was queued, or could not be. */
  after(operation: Operation, isAccepted: boolean): void {
    this.#behind.get(operation)?.()
    this.#behind.delete(operation)
    const { failures } = operation.stream
    if (!isAccepted || failures === undefined) return
    for (const access of operation.accesses) {
      if (access.mode !== "read" && isPinned(access)) this.#pending.add(access.address, endOf(access), failures)
    }
  }

  /** The pinned bytes that an operation only reads, and that no queued work may still write. */
  #readsOf(operation: Operation): PinnedRead[] {
    if (!operation.accesses.some((access) => access.mode === "read" && isPinned(access))) return []
    const known = this.#pending.now()
    for (const access of operation.accesses) {
      if (access.mode !== "read" && isPinned(access)) known.add(access.address, endOf(access))
    }
    return [...operationsIn(operation)].flatMap(({ accesses }) =>
      accesses
        .filter((access) => access.mode === "read" && isPinned(access))
        .flatMap((access) => newBytes(access, known)),
    )
  }
}

function isPinned({ memory }: Access): boolean {
  return memory instanceof PinnedAllocation
}

/** The bytes of an access that are not known yet. They become known. */
function newBytes(access: Access, known: Ranges): PinnedRead[] {
  const { address, width, pitch, rows } = access
  const argument = access.role.argument
  const reads: PinnedRead[] = []
  for (let row = 0; row < rows; row++) {
    const begin = address + row * pitch
    for (const part of known.outside(begin, begin + width)) {
      reads.push({ address: part.begin, byteLength: part.end - part.begin, argument, start: address })
    }
    known.add(begin, begin + width)
  }
  return reads
}

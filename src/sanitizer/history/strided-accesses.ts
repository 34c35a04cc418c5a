/**
 * The accesses of rows that are a pitch apart. A matrix may have a hundred thousand rows, so they are kept as they are
 * instead of as segments. An access that a later one has replaced in part stays whole. That adds no race: whatever is ordered
 * after the later one is ordered after both.
 */
import { endOf, type StridedRange } from "../../common/strided.js"
import type { Access } from "../../runtime/order/observer/operation.js"
import type { PastAccess } from "./past-access.js"

export interface StridedAccess {
  readonly range: StridedRange
  readonly access: PastAccess
}

export class StridedAccesses {
  #all: StridedAccess[] = []

  get size(): number {
    return this.#all.length
  }

  add(range: StridedRange, access: PastAccess): void {
    this.#all.push({ range, access })
  }

  /** Removes what a new access replaces: earlier ones that it is ordered after, if all of their bytes are its own. */
  replace(access: Access, isBefore: (past: PastAccess) => boolean): void {
    this.#all = this.#all.filter((past) => {
      const isReplaceable = (access.mode !== "read" || !past.access.isWrite) && covers(access, past.range)
      return !isReplaceable || !isBefore(past.access)
    })
  }

  /** Removes the accesses of these bytes that do not pass. */
  keep(begin: number, end: number, isKept: (access: PastAccess) => boolean): void {
    this.#all = this.#all.filter(({ range, access }) => {
      return range.address >= end || endOf(range) <= begin || isKept(access)
    })
  }

  [Symbol.iterator](): Iterator<StridedAccess> {
    return this.#all[Symbol.iterator]()
  }
}

/** Whether all bytes of `inner` are known to be bytes of `outer`: of its one row, or of equal rows. */
function covers(outer: StridedRange, inner: StridedRange): boolean {
  if (outer.rows === 1) return outer.address <= inner.address && endOf(inner) <= endOf(outer)
  const isEqual = outer.address === inner.address && outer.width >= inner.width && outer.rows >= inner.rows
  return isEqual && (outer.pitch === inner.pitch || inner.rows === 1)
}

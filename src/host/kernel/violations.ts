import type { ViolationKind } from "../../common/errors.js"

/** What a worker's check has found. */
export interface Violation {
  readonly kind: ViolationKind
  /** The kernel's argument, if it concerns one. */
  readonly argument: string | undefined
  /** Bytes, counted from where the argument begins: whole elements, if there are any. */
  readonly begin: number
  readonly end: number
  /** Bytes of an element; undefined if there are none. */
  readonly width: number | undefined
  /** The number of the call that queued the operation. */
  readonly site: number
}

/** Thrown by a checked launch to break its stream. */
export class ViolationFailure extends Error {
  constructor(readonly violation: Violation) {
    super(violation.kind)
  }
}

import { type Access, accessOf, type AccessMode, AccessRole, type OperandUses } from "../order/observer/operation.js"
import type { Span } from "./used-memory.js"

/**
 * Memory that an operation uses although it is not an operand: arrays in `uses`, and a module's globals. The lists have one
 * entry for each use.
 */
export class IndirectUses implements OperandUses {
  readonly spans: Span[] = []
  readonly modes: AccessMode[] = []
  overwrite = false
  readonly #roles: AccessRole[] = []

  /**
   * @param name the name in the kernel's code, if any
   */
  add(span: Span, mode: AccessMode, name?: string): void {
    this.spans.push(span)
    this.modes.push(mode)
    if (mode === "overwrite") this.overwrite = true
    this.#roles.push(new AccessRole(mode, undefined, name))
  }

  /** Describes the uses, for a capture or an observer. */
  addAccesses(accesses: Access[]): void {
    for (const [index, span] of this.spans.entries()) {
      const role = this.#roles[index]
      if (role !== undefined) accesses.push(accessOf(span, role))
    }
  }
}

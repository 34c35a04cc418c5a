import { Access, type AccessMode, type OperandUses } from "../order/operation.js"
import { bytesIn, type Span } from "./used-memory.js"

/**
 * Memory that an operation uses although it is not an operand: arrays in `uses`, and a module's globals. The lists have one
 * entry for each use.
 */
export class IndirectUses implements OperandUses {
  readonly spans: Span[] = []
  readonly modes: AccessMode[] = []
  overwrite = false
  readonly #names: (string | undefined)[] = []

  /**
   * @param name the name in the kernel's code, if any
   */
  add(span: Span, mode: AccessMode, name?: string): void {
    this.spans.push(span)
    this.modes.push(mode)
    if (mode === "overwrite") this.overwrite = true
    this.#names.push(name)
  }

  /** Describes the uses, for a capture or an observer. */
  accesses(): Access[] {
    return this.spans.map((span, index) => {
      const mode = this.modes[index] ?? "readwrite"
      return new Access(span.allocation, bytesIn(span), mode, undefined, this.#names[index])
    })
  }
}

import { Access, type AccessMode, type OperandUses } from "../order/operation.js"
import type { Span } from "./used-memory.js"

/**
 * Memory that an operation uses without being given it as an operand: what `uses` names, and a module's globals. The lists have one entry for each use.
 */
export class IndirectUses implements OperandUses {
  readonly spans: Span[] = []
  readonly positions: number[] = []
  readonly modes: AccessMode[] = []
  overwrite = false
  readonly #names: (string | undefined)[] = []

  /**
   * @param name what the kernel's code calls it, if it has a name
   */
  add(span: Span, mode: AccessMode, name?: string): void {
    this.positions.push(this.spans.length)
    this.spans.push(span)
    this.modes.push(mode)
    if (mode === "overwrite") this.overwrite = true
    this.#names.push(name)
  }

  /** Describes the uses, for whoever looks at the operation. */
  accesses(): Access[] {
    return this.spans.map(({ allocation, address, byteLength }, index) => {
      const mode = this.modes[index] ?? "readwrite"
      return new Access(allocation, address, byteLength, mode, undefined, this.#names[index])
    })
  }
}

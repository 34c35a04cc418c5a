import { Branch, type BranchList, MOST_BRANCHES } from "../queue/branch.js"
import type { OpenConditional } from "./conditional.js"
import { LEVEL, wordAt } from "../control/layout.js"
import type { HostStream } from "../queue/stream.js"

/** An open capture: its streams' commands are collected in branches instead of being queued. */
export class HostCapture implements BranchList {
  readonly branches: Branch[] = []
  count = 0
  readonly #streams: HostStream[] = []
  #added = 0
  readonly #levels: { readonly words: Int32Array }
  /** The conditional whose body is captured, if any. */
  readonly conditional: OpenConditional | undefined

  constructor(levels: { readonly words: Int32Array }, conditional: OpenConditional | undefined) {
    this.#levels = levels
    this.conditional = conditional
  }

  /** From here on the stream's commands are captured. */
  admit(stream: HostStream): Branch {
    const branch = this.addBranch(wordAt(this.#levels.words, stream.slot.block + LEVEL))
    this.#streams.push(stream)
    stream.branch = branch
    return branch
  }

  addBranch(level: number): Branch {
    const index = this.#added++ % MOST_BRANCHES
    const branch = this.branches[index] ?? new Branch(this, index, level)
    this.branches[index] = branch
    return branch
  }

  /** From here on the streams' commands are queued again. */
  end(): void {
    for (const stream of this.#streams) stream.branch = undefined
  }

  /** Drops the captured commands: they were copied into a graph, or the capture was cancelled. */
  clear(): void {
    for (const branch of this.branches) branch.clear()
  }
}

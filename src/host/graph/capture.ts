import { Branch, type BranchList, MOST_BRANCHES } from "../queue/branch.js"
import type { OpenConditional } from "./conditional.js"
import { LEVEL, wordAt } from "../control/layout.js"
import type { HostStream } from "../queue/stream.js"

/** A capture under way: commands are kept instead of queued. */
export class HostCapture implements BranchList {
  readonly branches: Branch[] = []
  private readonly streams: HostStream[] = []
  private added = 0

  constructor(
    private readonly levels: { readonly words: Int32Array },
    /** What the capture is to be the body of. */
    readonly conditional: OpenConditional | undefined,
  ) {}

  /** From here on the stream's commands are kept. */
  admit(stream: HostStream): Branch {
    const branch = this.addBranch(wordAt(this.levels.words, stream.slot.block + LEVEL))
    this.streams.push(stream)
    stream.branch = branch
    return branch
  }

  addBranch(level: number): Branch {
    const index = this.added++ % MOST_BRANCHES
    const branch = this.branches[index] ?? new Branch(this, index, level)
    this.branches[index] = branch
    return branch
  }

  /** Gives the streams back to their queues. */
  end(): void {
    for (const stream of this.streams) stream.branch = undefined
  }

  /** What was captured has become a graph, or part of one, or is dropped. */
  clear(): void {
    for (const branch of this.branches) branch.clear()
  }
}

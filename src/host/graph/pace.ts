import { availableParallelism } from "node:os"
import type { ControlMemory } from "../control/control.js"
import type { BranchBlock, LaunchEnd } from "./branch-block.js"
import { ALONE, MEASURED } from "../control/layout.js"

/**
 * The cost of passing a branch between workers, and of waking another worker, in milliseconds. On one or two cores the
 * workers compete with the thread that waits for the graph.
 */
const HANDOVER = 0.0015
const CALL = availableParallelism() > 2 ? 0.005 : 0.02

/** The first launches are all measured, because kernels are slow until they are compiled. Later, one in this many is. */
const TRIALS = 4
const GAP = 32

/** After a standstill, this many launches are not flat: at first, and at most. */
const FIRST_DISTRUST = 16
const LAST_DISTRUST = 65_536

/**
 * Decides for each launch whether several workers run the graph, or one worker runs it flat: passing small kernels between
 * threads costs more than running them one after another. The times of the branches are measured from time to time, in
 * both ways. Before the first measurement, several workers run it.
 */
export class Pace {
  #launches = 0
  /** The next launch to measure, unless one is being measured. */
  #due = 0
  /** The time that several workers would save, in milliseconds, without the cost of passing branches between them. */
  #gain = Infinity
  /** Whether that is worth the cost. */
  #isWorthIt = true
  /** The launch that is being measured. */
  #measured: LaunchEnd | undefined
  /** No launch before this one is run flat. */
  #distrusted = 0
  /** The number of launches that are not run flat after the next standstill. */
  #patience = FIRST_DISTRUST

  /** How to run a launch that will end at `end`: the bits of a call. */
  choose(branches: readonly BranchBlock[], end: LaunchEnd, { doubles }: Pick<ControlMemory, "doubles">): number {
    if (branches.length < 2) return 0
    if (this.#measured?.slot.hasPassed(this.#measured.position) === true) {
      this.#learn(branches, doubles)
    }
    const how = this.#isWorthIt || this.#launches < this.#distrusted ? 0 : ALONE
    if (this.#launches++ < this.#due || this.#measured !== undefined) return how
    this.#measured = end
    return how | MEASURED
  }

  /** Forgets all measurements: the graph has been updated. */
  forget(): void {
    this.#measured = undefined
    this.#launches = 0
    this.#due = 0
    this.#distrusted = 0
    this.#patience = FIRST_DISTRUST
  }

  /** The commands have been copied: the launch that is being measured writes its times elsewhere. */
  skip(): void {
    this.#measured = undefined
  }

  /** A flat run stood still: its kernels wait for each other, or the machine is busy. */
  distrust(): void {
    this.#measured = undefined
    this.#distrusted = this.#launches + this.#patience
    this.#patience = Math.min(LAST_DISTRUST, 2 * this.#patience)
  }

  /** Believes a smaller gain at once, but a larger one only gradually: a busy machine may have caused it. */
  #learn(branches: readonly BranchBlock[], doubles: Float64Array): void {
    const times = branches.map(({ block }) => doubles[block / 2] ?? 0)
    const waits = branches.reduce((sum, branch) => sum + branch.waits, 0)
    const gain = times.reduce((sum, time) => sum + time, 0) - Math.max(...times)
    const isMore = gain > this.#gain
    this.#gain = isMore ? Math.min(gain, 2 * this.#gain) : gain
    this.#isWorthIt = this.#gain > CALL + waits * HANDOVER
    this.#due = isMore || this.#launches < TRIALS ? this.#launches : this.#launches + GAP
    this.#measured = undefined
  }
}

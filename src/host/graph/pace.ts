import { availableParallelism } from "node:os"
import type { ControlMemory } from "../control/control.js"
import type { BranchBlock, LaunchEnd } from "./branch-block.js"
import { ALONE, MEASURED } from "../control/layout.js"

/**
 * What it costs, in milliseconds, to pass a branch between workers, and to call another worker at all. On one or two cores
 * the workers compete with the thread that waits for the graph.
 */
const HANDOVER = 0.0015
const CALL = availableParallelism() > 2 ? 0.005 : 0.02

/** The first launches are measured, as kernels are slow until they are compiled; then one of so many. */
const TRIALS = 4
const GAP = 32

/** For so many launches several workers run a graph that has come to a standstill with one: at first, and at most. */
const FIRST_DISTRUST = 16
const LAST_DISTRUST = 65_536

/**
 * Decides whether several workers run a graph or only one: passing small kernels between threads costs more than running
 * them one after another. How long the branches take is measured, now and then and in either way. Without knowing,
 * several workers run it.
 */
export class Pace {
  private launches = 0
  /** The launch that is measured next, unless one is being measured. */
  private due = 0
  /** What several workers are believed to save, in milliseconds, hand-overs not counted. */
  private gain = Infinity
  /** A launch whose times are still to come. */
  private measured: LaunchEnd | undefined
  /** Up to which launch several workers run it whatever is measured, and how many launches that is the next time. */
  private distrusted = 0
  private patience = FIRST_DISTRUST

  /** How a launch that will end there is run: in the bits of a call. */
  choose(branches: readonly BranchBlock[], end: LaunchEnd, { doubles }: Pick<ControlMemory, "doubles">): number {
    if (branches.length < 2) return 0
    if (this.measured?.slot.hasPassed(this.measured.position) === true) {
      this.learn(branches.map(({ block }) => doubles[block / 2] ?? 0))
    }
    const how = this.launches < this.distrusted || this.isWorthIt(branches) ? 0 : ALONE
    if (this.launches++ < this.due || this.measured !== undefined) return how
    this.measured = end
    return how | MEASURED
  }

  /** The branches are others from here on, which may take another time. */
  forget(): void {
    this.measured = undefined
    this.launches = 0
    this.due = 0
    this.distrusted = 0
    this.patience = FIRST_DISTRUST
  }

  /** A run by one worker has come to a standstill: kernels wait for each other, or the machine is busy. */
  distrust(): void {
    this.measured = undefined
    this.distrusted = this.launches + this.patience
    this.patience = Math.min(LAST_DISTRUST, 2 * this.patience)
  }

  /** Less is believed at once; more, which a busy machine may have caused, by and by. */
  private learn(times: readonly number[]): void {
    const gain = times.reduce((sum, time) => sum + time, 0) - Math.max(...times)
    const isMore = gain > this.gain
    this.gain = isMore ? Math.min(gain, 2 * this.gain) : gain
    this.due = isMore || this.launches < TRIALS ? this.launches : this.launches + GAP
    this.measured = undefined
  }

  private isWorthIt(branches: readonly BranchBlock[]): boolean {
    const waits = branches.reduce((sum, branch) => sum + branch.waits, 0)
    return this.gain > CALL + waits * HANDOVER
  }
}

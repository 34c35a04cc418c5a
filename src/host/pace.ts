import type { ControlMemory } from "./control.js"
import type { BranchBlock, LaunchEnd } from "./graph.js"
import { ALONE, MEASURED } from "./layout.js"

/** What it costs, in milliseconds, to pass a branch between workers, and to call another worker at all. */
const HANDOVER = 0.0015
const CALL = 0.02

/** The first launches are measured, then one of so many. */
const TRIALS = 4
const GAP = 32

/**
 * Decides, from times that were measured, whether several workers run a graph or only one: passing small kernels
 * between threads costs more than running them one after another.
 */
export class Pace {
  private launches = 0
  /** What several workers would save, in milliseconds, hand-overs not counted. */
  private gain = Infinity
  /** A launch whose times are still to come. */
  private measured: LaunchEnd | undefined

  /** How a launch that will end there is run: in the bits of a call. */
  choose(branches: readonly BranchBlock[], end: LaunchEnd, { doubles }: ControlMemory): number {
    const { measured } = this
    if (measured?.slot.hasPassed(measured.position) === true) {
      this.learn(branches.map(({ block }) => doubles[block / 2] ?? 0))
    }
    const count = this.launches++
    if (this.measured === undefined && (count < TRIALS || count % GAP === 0)) {
      this.measured = end
      return MEASURED
    }
    return this.isWorthIt(branches) ? 0 : ALONE
  }

  /** The branches are others from here on. */
  forget(): void {
    this.measured = undefined
    this.launches = 0
  }

  /** Less is believed at once; more, which a busy machine may have caused, by and by. */
  private learn(times: readonly number[]): void {
    this.measured = undefined
    const gain = times.reduce((sum, time) => sum + time, 0) - Math.max(...times)
    this.gain = gain < this.gain ? gain : (this.gain + gain) / 2
  }

  private isWorthIt(branches: readonly BranchBlock[]): boolean {
    const waits = branches.reduce((sum, branch) => sum + branch.waits, 0)
    return this.gain > CALL + waits * HANDOVER
  }
}

import type { ControlMemory } from "../control/control.js"
import { MEASURED, wordAt } from "../control/layout.js"
import { now } from "../../common/timers.js"

/**
 * Measures how long the commands of a block take, if its call asks for that. The sum over all workers that run parts of
 * the block is stored at the beginning of the block.
 */
export class LapTimer {
  #started = 0
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  /** A worker begins or continues a call's block. */
  begin(call: number, isFirst: boolean): void {
    if (!this.#isMeasured(call)) return
    this.#started = now()
    if (isFirst) this.#control.doubles[this.#cell(call)] = 0
  }

  /** Adds the time since the lap began, and begins another lap. */
  end(call: number): void {
    if (!this.#isMeasured(call)) return
    const { doubles } = this.#control
    const cell = this.#cell(call)
    const time = now()
    doubles[cell] = (doubles[cell] ?? 0) + time - this.#started
    this.#started = time
  }

  #isMeasured(call: number): boolean {
    return (wordAt(this.#control.words, call + 5) & MEASURED) !== 0
  }

  #cell(call: number): number {
    return wordAt(this.#control.words, call + 1) / 2
  }
}

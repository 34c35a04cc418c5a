import type { ControlMemory } from "../control/control.js"
import { LIFE, LOST } from "../control/layout.js"
import type { Scheduler } from "./scheduler.js"

/** After this many commands of one block, a worker serves other ready streams of the same priority. */
export const TURN = 256
/** After this many commands, it checks for ready streams of higher priority. */
const LOOK = 16

/** Decides when a worker that runs a block gives its stream back for others. */
export class Turns {
  readonly #at: { readonly control: ControlMemory; readonly scheduler: Scheduler }

  constructor(at: { readonly control: ControlMemory; readonly scheduler: Scheduler }) {
    this.#at = at
  }

  /** @param left the number of commands that are left in the turn */
  isOver(level: number, left: number): boolean {
    return left % LOOK === 0 && this.#isWanted(level, left)
  }

  #isWanted(level: number, left: number): boolean {
    const { scheduler, control } = this.#at
    if (scheduler.hasReadyAbove(level)) return true
    return left <= 0 && (scheduler.hasReady() || Atomics.load(control.words, LIFE) === LOST)
  }
}

import type { ControlMemory } from "../control/control.js"
import { LIFE, LOST } from "../control/layout.js"
import type { Scheduler } from "./scheduler.js"

/** Commands that a worker runs of one block before it lets others of the same priority have their turn. */
export const TURN = 256
/** After so many commands it looks for work of higher priority. */
const LOOK = 16

/** When a worker that runs a block gives its stream back, so that others have their turn. */
export class Turns {
  constructor(private readonly at: { readonly control: ControlMemory; readonly scheduler: Scheduler }) {}

  /** @param left how many commands are left of a turn */
  isOver(level: number, left: number): boolean {
    return left % LOOK === 0 && this.isWanted(level, left)
  }

  private isWanted(level: number, left: number): boolean {
    const { scheduler, control } = this.at
    if (scheduler.hasReadyAbove(level)) return true
    return left <= 0 && (scheduler.hasReady() || Atomics.load(control.words, LIFE) === LOST)
  }
}

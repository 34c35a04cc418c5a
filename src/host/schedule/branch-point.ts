import type { ControlMemory } from "../control/control.js"
import { TABLE_ENTRY_WORDS, hasProgressed, wordAt } from "../control/layout.js"

/** The stream that runs a branch of a launch, and a position there: what a wait inside a block waits for. */
export class BranchPoint {
  stream = 0
  low = 0
  high = 0
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  /** Finds it for the wait at `read` in the block of a call. */
  find(call: number, read: number): void {
    const { words } = this.#control
    this.at(wordAt(words, call + 4), wordAt(words, read + 1), wordAt(words, read + 2))
  }

  /** Finds it for a position of a branch, from a call's table. */
  at(table: number, branch: number, position: number): void {
    const { words } = this.#control
    const entry = table + TABLE_ENTRY_WORDS * branch
    const baseLow = wordAt(words, entry + 1)
    const baseHigh = wordAt(words, entry + 2)
    this.stream = wordAt(words, entry)
    this.low = (baseLow + position) | 0
    this.high = this.low >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh
  }

  hasArrived(): boolean {
    return hasProgressed(this.#control.words, this.stream, this.high, this.low)
  }
}

import type { ControlMemory } from "../control/control.js"
import { TABLE_ENTRY_WORDS, hasProgressed } from "../control/layout.js"

/** A position of the stream that runs a branch of a launch: what a wait inside a block waits for. */
export class BranchPoint {
  stream = 0
  low = 0
  high = 0

  constructor(private readonly control: ControlMemory) {}

  /** Works it out for the wait at `read` in the block of a call. */
  find(call: number, read: number): void {
    const { words } = this.control
    this.at(words[call + 4] as number, words[read + 1] as number, words[read + 2] as number)
  }

  /** Works it out for a position of a branch, from a call's table. */
  at(table: number, branch: number, position: number): void {
    const { words } = this.control
    const entry = table + TABLE_ENTRY_WORDS * branch
    const baseLow = words[entry + 1] as number
    const baseHigh = words[entry + 2] as number
    this.stream = words[entry] as number
    this.low = (baseLow + position) | 0
    this.high = this.low >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh
  }

  hasArrived(): boolean {
    return hasProgressed(this.control.words, this.stream, this.high, this.low)
  }
}

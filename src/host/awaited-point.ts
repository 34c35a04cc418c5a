import type { ControlMemory } from "./control.js"
import { TABLE_ENTRY_WORDS, hasProgressed } from "./layout.js"

/** What a wait inside a block waits for: a position of the stream that runs another branch of the same launch. */
export class AwaitedPoint {
  stream = 0
  low = 0
  high = 0

  constructor(private readonly control: ControlMemory) {}

  /** Works it out for the wait at `read` in the block of a call. */
  find(call: number, read: number): void {
    const { words } = this.control
    const entry = (words[call + 4] as number) + TABLE_ENTRY_WORDS * (words[read + 1] as number)
    const baseLow = words[entry + 1] as number
    const baseHigh = words[entry + 2] as number
    this.stream = words[entry] as number
    this.low = (baseLow + (words[read + 2] as number)) | 0
    this.high = this.low >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh
  }

  hasArrived(): boolean {
    return hasProgressed(this.control.words, this.stream, this.high, this.low)
  }
}

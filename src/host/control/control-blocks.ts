import type { ControlMemory } from "./control.js"
import { LINE } from "./layout.js"

/** Pieces of the control memory of any size, in powers of two, used again once they are given back. */
export class ControlBlocks {
  private readonly free: number[][] = []

  constructor(private readonly control: ControlMemory) {}

  /** @throws OutOfMemoryError */
  take(words: number): number {
    const size = sizeClass(words)
    return this.free[size]?.pop() ?? this.control.reserve(2 ** size)
  }

  /** Takes back what {@link take} gave for so many words. */
  give(block: number, words: number): void {
    const size = sizeClass(words)
    const list = this.free[size]
    if (list === undefined) this.free[size] = [block]
    else list.push(block)
  }
}

function sizeClass(words: number): number {
  return Math.ceil(Math.log2(Math.max(LINE, words)))
}

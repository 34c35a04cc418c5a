import type { ControlMemory } from "./control.js"
import { LINE } from "./layout.js"

/** Blocks of the control memory of any size, rounded up to powers of two. Released blocks are used again. */
export class ControlBlocks {
  readonly #free: number[][] = []
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  /** @throws OutOfMemoryError */
  acquire(words: number): number {
    const size = sizeClass(words)
    return this.#free[size]?.pop() ?? this.#control.reserve(2 ** size)
  }

  /** Takes back a block that {@link acquire} gave for this many words. */
  release(block: number, words: number): void {
    const size = sizeClass(words)
    const list = this.#free[size]
    if (list === undefined) this.#free[size] = [block]
    else list.push(block)
  }
}

function sizeClass(words: number): number {
  return Math.ceil(Math.log2(Math.max(LINE, words)))
}

import type { Block } from "./block.js"

const STEPS_LOG2 = 4
const STEPS = 1 << STEPS_LOG2
/** How many blocks of the size's own class are checked before the next larger class, whose blocks all fit. */
const LOOKS = 4

/** Sizes from here on do not fit bit operations. All of them are in the last class. */
const BEYOND = 2 ** 31
const LAST_CLASS = (31 - STEPS_LOG2 + 1) << STEPS_LOG2

/** The size class of a block: 16 classes for each power of two; each size below 32 has its own class. */
export function sizeClass(size: number): number {
  if (size < STEPS) return size
  if (size >= BEYOND) return LAST_CLASS
  const power = 31 - Math.clz32(size)
  return ((power - STEPS_LOG2 + 1) << STEPS_LOG2) + ((size >>> (power - STEPS_LOG2)) & (STEPS - 1))
}

/** Finds blocks by size: a list for each size class, oldest first, and a bit for each list that is not empty. */
export class SizeClasses {
  readonly #heads: (Block | undefined)[] = []
  readonly #tails: (Block | undefined)[] = []
  readonly #filled: number[] = []

  add(block: Block): void {
    const index = sizeClass(block.size)
    const tail = this.#tails[index]
    block.previousInClass = tail
    block.nextInClass = undefined
    if (tail === undefined) this.#heads[index] = block
    else tail.nextInClass = block
    this.#tails[index] = block
    this.#filled[index >>> 5] = (this.#filled[index >>> 5] ?? 0) | (1 << (index & 31))
  }

  remove(block: Block): void {
    const index = sizeClass(block.size)
    const { previousInClass, nextInClass } = block
    if (previousInClass === undefined) this.#heads[index] = nextInClass
    else previousInClass.nextInClass = nextInClass
    if (nextInClass === undefined) this.#tails[index] = previousInClass
    else nextInClass.previousInClass = previousInClass
    block.previousInClass = undefined
    block.nextInClass = undefined
    if (this.#heads[index] === undefined) {
      this.#filled[index >>> 5] = (this.#filled[index >>> 5] ?? 0) & ~(1 << (index & 31))
    }
  }

  /** A block of the size's own class that is large enough, among the first few. */
  findNear(size: number): Block | undefined {
    let block = this.#heads[sizeClass(size)]
    for (let looks = 0; block !== undefined && looks < LOOKS; looks++) {
      if (block.size >= size) return block
      block = block.nextInClass
    }
    return undefined
  }

  /** The latest block of the size's own class, if it has exactly that size. */
  findLatest(size: number): Block | undefined {
    const block = this.#tails[sizeClass(size)]
    return block?.size === size ? block : undefined
  }

  /** A block that is large enough, from nearly the smallest class that has one. */
  find(size: number): Block | undefined {
    return this.findNear(size) ?? this.#heads[this.#nextFilled(sizeClass(size) + 1)]
  }

  /** Like {@link find}, but checks every block of the size's own class. */
  findAny(size: number): Block | undefined {
    for (let block = this.#heads[sizeClass(size)]; block !== undefined; block = block.nextInClass) {
      if (block.size >= size) return block
    }
    return this.#heads[this.#nextFilled(sizeClass(size) + 1)]
  }

  /** The oldest block of each class, smallest class first, if it has at least `size`. */
  *oldest(size: number): Generator<Block> {
    for (let index = this.#nextFilled(sizeClass(size)); index >= 0; index = this.#nextFilled(index + 1)) {
      const block = this.#heads[index]
      if (block !== undefined && block.size >= size) yield block
    }
  }

  /** Every block. */
  *all(): Generator<Block> {
    for (let index = this.#nextFilled(0); index >= 0; index = this.#nextFilled(index + 1)) {
      for (let block = this.#heads[index]; block !== undefined; block = block.nextInClass) yield block
    }
  }

  /** The first class from `index` on that is not empty; -1 if there is none. */
  #nextFilled(index: number): number {
    let word = index >>> 5
    let bits = (this.#filled[word] ?? 0) & (-1 << (index & 31))
    while (bits === 0) {
      word++
      if (word >= this.#filled.length) return -1
      bits = this.#filled[word] ?? 0
    }
    return (word << 5) + 31 - Math.clz32(bits & -bits)
  }
}

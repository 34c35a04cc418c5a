/**
 * Decides which memory a region gives to a new array: memory that the region has disposed of, or new memory. Reused memory
 * makes the new array's operations wait for the old one's, so operations that could run side by side would not. New memory
 * costs memory. So the region takes new memory within two limits, of which the larger one counts:
 *
 * - twice what its own arrays would need in sequence;
 * - half of the memory that its operations use besides, such as weights. Small temporary arrays never reach it.
 *
 * Either way the program needs at most twice the memory that it needs in sequence. Above the first limit, memory whose
 * reuse hardly makes anything wait comes first.
 *
 * The decision must follow from the program alone: never from what the device has finished, nor from addresses.
 */
import type { Uses } from "./uses.js"

/** What a region knows of its operations. */
export interface RegionWork {
  /** The bytes that its operations have used since the latest fence. */
  readonly usedBytes: number
  /** Whether each of several streams of the region has a later operation that runs after these uses. */
  isPast(uses: Uses): boolean
}

/** A piece of memory. */
export interface Block {
  /** The bytes that it has room for. */
  readonly capacity: number
  readonly uses: Uses
}

interface Idle<B> {
  readonly block: B
  /** The fences before its disposal. */
  readonly section: number
}

/** The section of blocks that are from before the region. */
const OFFERED = -1

export class Recycling<B extends Block> {
  readonly #work: RegionWork
  /** The blocks that can be reused, those disposed of first before the others. */
  #idle: Idle<B>[] = []
  #section = 0
  /** The bytes of the arrays that exist. */
  #live = 0
  /** The most that existed at a time: what a program in sequence would need. */
  #peak = 0
  /** The bytes of all blocks. */
  #total = 0

  constructor(work: RegionWork) {
    this.#work = work
  }

  /** A fence: operations that follow run after all uses of the blocks that can be reused now. */
  fence(): void {
    this.#section += 1
  }

  /** @returns the block for an array; undefined if it must be a new one. Then {@link grown} must be called */
  take(byteLength: number): B | undefined {
    const chosen = this.#choose(byteLength)
    if (chosen === undefined) return undefined
    this.#idle = this.#idle.filter((idle) => idle !== chosen)
    if (chosen.section === OFFERED) this.#total += chosen.block.capacity
    this.#count(byteLength)
    return chosen.block
  }

  #choose(byteLength: number): Idle<B> | undefined {
    const calm = this.#tightest(byteLength, ({ section }) => section < this.#section)
    if (calm !== undefined || this.#total + byteLength <= this.#ownLimit(byteLength)) return calm
    const past = this.#tightest(byteLength, ({ block }) => this.#work.isPast(block.uses))
    if (past !== undefined || !this.isCramped(byteLength)) return past
    return this.#tightest(byteLength, () => true)
  }

  /** Adds a block whose uses are all before the region. */
  offer(block: B): void {
    this.#idle.push({ block, section: OFFERED })
  }

  /** Whether a new block would exceed both limits. */
  isCramped(byteLength: number): boolean {
    const besides = this.#work.usedBytes - this.#total
    return this.#total + byteLength > Math.max(this.#ownLimit(byteLength), besides / 2)
  }

  /** Twice what the program needs in sequence for the region's arrays, one more included. */
  #ownLimit(byteLength: number): number {
    return 2 * Math.max(this.#peak, this.#live + byteLength)
  }

  /** Notes that a new block was made for an array. */
  grown(byteLength: number): void {
    this.#total += byteLength
    this.#count(byteLength)
  }

  #count(byteLength: number): void {
    this.#live += byteLength
    this.#peak = Math.max(this.#peak, this.#live)
  }

  /** The tightest block that passes; of several, the one that was disposed of first. */
  #tightest(byteLength: number, passes: (idle: Idle<B>) => boolean): Idle<B> | undefined {
    let best: Idle<B> | undefined
    for (const idle of this.#idle) {
      const { capacity } = idle.block
      const fits = capacity >= byteLength && capacity <= 2 * byteLength
      if (fits && capacity < (best?.block.capacity ?? Infinity) && passes(idle)) best = idle
    }
    return best
  }

  /** The array of a block was disposed of. */
  giveBack(block: B, byteLength: number): void {
    this.#live -= byteLength
    this.#idle.push({ block, section: this.#section })
  }

  /** Removes and returns the blocks that can be reused. */
  empty(): B[] {
    const idle = this.#idle
    this.#idle = []
    for (const { block, section } of idle) if (section !== OFFERED) this.#total -= block.capacity
    return idle.map(({ block }) => block)
  }
}

/**
 * Decides which memory a region gives to a new array: memory that the region has disposed of, or new memory. Reused memory
 * makes the new array's operations wait for the old one's, so operations that could run side by side would not. New memory
 * costs memory. So the region takes at most twice what it would need in sequence.
 *
 * The decision must follow from the program alone: never from what the device has finished, nor from addresses.
 */

/** A piece of memory. */
export interface Block {
  /** The bytes that it has room for. */
  readonly capacity: number
}

interface Idle<B> {
  readonly block: B
  /** The fences before its disposal. */
  readonly section: number
}

/** The section of blocks that are from before the region. */
const OFFERED = -1

export class Recycling<B extends Block> {
  /** The blocks that can be reused, those disposed of first before the others. */
  #idle: Idle<B>[] = []
  #section = 0
  /** The bytes of the arrays that exist. */
  #live = 0
  /** The most that existed at a time: what a program in sequence would need. */
  #peak = 0
  /** The bytes of all blocks. */
  #total = 0

  /** A fence: operations that follow run after all uses of the blocks that can be reused now. */
  fence(): void {
    this.#section += 1
  }

  /** @returns the block for an array; undefined if it must be a new one. Then {@link grown} must be called */
  take(byteLength: number): B | undefined {
    const { calm, first } = this.#find(byteLength)
    const chosen = calm ?? (this.isCramped(byteLength) ? first : undefined)
    if (chosen === undefined) return undefined
    this.#idle = this.#idle.filter((idle) => idle !== chosen)
    if (chosen.section === OFFERED) this.#total += chosen.block.capacity
    this.#count(byteLength)
    return chosen.block
  }

  /** Adds a block whose uses are all before the region. */
  offer(block: B): void {
    this.#idle.push({ block, section: OFFERED })
  }

  /** Whether a new block would take more than twice the memory that the program needs in sequence. */
  isCramped(byteLength: number): boolean {
    return this.#total + byteLength > 2 * Math.max(this.#peak, this.#live + byteLength)
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

  /** The tightest block whose uses are all before the latest fence, and the tightest one that was disposed of first. */
  #find(byteLength: number): { calm: Idle<B> | undefined; first: Idle<B> | undefined } {
    let calm: Idle<B> | undefined
    let first: Idle<B> | undefined
    for (const idle of this.#idle) {
      const { capacity } = idle.block
      if (capacity < byteLength || capacity > 2 * byteLength) continue
      if (idle.section < this.#section && capacity < (calm?.block.capacity ?? Infinity)) calm = idle
      if (capacity < (first?.block.capacity ?? Infinity)) first = idle
    }
    return { calm, first }
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

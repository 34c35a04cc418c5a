import type { OrderMark } from "../driver/memory.js"

/** The list of a stream's frees that a pending block is in. */
export interface BlockFrees {
  remove(block: Block): void
  /** Cuts a pending block. The rest keeps its place in the order of frees. */
  split(block: Block, size: number): void
}

/** A block of device memory. Blocks are adjacent, without gaps. Sizes and addresses are in units of 256 bytes. */
export class Block {
  /** The neighbours in memory. */
  below: Block | undefined
  above: Block | undefined
  state: "used" | "pending" | "free" = "free"
  /** While in use: the requested bytes. */
  byteLength = 0
  /** Whether it counts as used memory. Staging and pinned memory do not. */
  counted = false
  /** While in use: whether it was allocated before the stream that had freed it was known to have passed that free. */
  isEarly = false
  /** While in use: how many units before the allocation, and at least as many after it, belong to nobody. */
  guard = 0
  /** While pending: the position of its free on its stream. */
  position = 0
  mark: OrderMark | undefined
  frees: BlockFrees | undefined
  /** Neighbours in the list of its size class, and in its stream's order of frees. */
  previousInClass: Block | undefined
  nextInClass: Block | undefined
  previousFree: Block | undefined
  nextFree: Block | undefined

  constructor(
    public start: number,
    public size: number,
  ) {}
}

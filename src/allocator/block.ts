import type { OrderMark } from "../driver.js"

/** The frees of one stream, as a block that is among them sees them. */
export interface BlockFrees {
  remove(block: Block): void
  /** Cuts a pending block; the rest keeps its place in the order of frees. */
  split(block: Block, size: number): void
}

/** A stretch of device memory. Blocks lie side by side without gaps; sizes and addresses are in units of 256 bytes. */
export class Block {
  /** The neighbours in memory. */
  below: Block | undefined
  above: Block | undefined
  state: "used" | "pending" | "free" = "free"
  /** What was asked for, in bytes, while in use. */
  byteLength = 0
  /** Does it count as memory in use? Staging and pinned memory do not. */
  counted = false
  /** While in use: was it handed out before the stream that it had been freed on was known to have passed the free? */
  isEarly = false
  /** While pending: freed at this position of its stream. */
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

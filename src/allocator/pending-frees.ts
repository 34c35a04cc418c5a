import { Block, type BlockFrees } from "./block.js"
import { SizeClasses } from "./size-classes.js"

/** The progress of a stream. */
export interface Progress {
  /** Whether it is known to have passed the position. */
  hasPassed(position: number): boolean
}

/** The blocks freed on one stream at positions that it may not have passed, in the order of their frees. */
export class PendingFrees<S extends Progress = Progress> implements BlockFrees {
  readonly classes = new SizeClasses()
  first: Block | undefined
  last: Block | undefined

  constructor(readonly stream: S) {}

  add(block: Block): void {
    block.state = "pending"
    block.frees = this
    block.previousFree = this.last
    block.nextFree = undefined
    if (this.last === undefined) this.first = block
    else this.last.nextFree = block
    this.last = block
    this.classes.add(block)
  }

  remove(block: Block): void {
    const { previousFree, nextFree } = block
    if (previousFree === undefined) this.first = nextFree
    else previousFree.nextFree = nextFree
    if (nextFree === undefined) this.last = previousFree
    else nextFree.previousFree = previousFree
    block.previousFree = undefined
    block.nextFree = undefined
    block.frees = undefined
    block.mark = undefined
    this.classes.remove(block)
  }

  split(block: Block, size: number): void {
    this.classes.remove(block)
    const rest = new Block(block.start + size, block.size - size)
    rest.state = "pending"
    rest.frees = this
    rest.position = block.position
    rest.mark = block.mark
    rest.below = block
    rest.above = block.above
    if (rest.above !== undefined) rest.above.below = rest
    block.above = rest
    block.size = size
    rest.previousFree = block
    rest.nextFree = block.nextFree
    if (rest.nextFree === undefined) this.last = rest
    else rest.nextFree.previousFree = rest
    block.nextFree = rest
    this.classes.add(rest)
    this.classes.add(block)
  }
}

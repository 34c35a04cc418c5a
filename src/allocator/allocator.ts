import type { OrderMark } from "../driver.js"
import { Block } from "./block.js"
import { MemoryCount } from "./memory-count.js"
import { PendingFrees, type Progress } from "./pending-frees.js"
import { SizeClasses } from "./size-classes.js"

/** Every block begins at a multiple of this, in bytes. */
export const ALIGNMENT = 256

const HARVEST_STEP = 4
const PROBES = 16

/** Memory that a source has given, in bytes. Begins at a multiple of 256. */
export interface Stretch {
  readonly address: number
  readonly byteLength: number
}

/** Where an allocator's memory comes from. */
export interface MemorySource {
  /** Is it one memory that grows, so that what lies side by side may become one block? */
  readonly isContiguous: boolean
  /**
   * One more stretch of so many bytes at least; undefined if it cannot be had. Behind the end of the latest stretch
   * `room` bytes are free: a stretch that follows there without a gap may be smaller by them.
   */
  extend(byteLength: number, room: number): Stretch | undefined
  /**
   * Finds out how far the streams have come, where that costs something: it is asked for when memory that is free for
   * certain has run out.
   */
  refresh?(): void
  /** What an allocation that cannot be had throws. */
  outOfMemory(byteLength: number, count: MemoryCount): Error
}

/**
 * Hands out device memory in the streams' order, without ever looking at a queue: a block freed on a stream at a
 * position is pending until the stream has passed it. Before that the same stream may have it again at once, and so may
 * a stream that is ordered behind the free.
 *
 * Sizes and addresses are in units of 256 bytes inside. Finding a block takes a bounded number of steps, however many
 * are free or pending; neighbours grow together again as soon as both are free.
 */
export class Allocator<S extends Progress = Progress> {
  private readonly free = new SizeClasses()
  private readonly blocks = new Map<number, Block>()
  private readonly pending = new Map<S, PendingFrees<S>>()
  /** The same as `pending`, in the order in which they are visited; left ones are replaced by the last. */
  private readonly rounds: PendingFrees<S>[] = []
  private turn = 0
  /** The last block of the latest stretch. */
  private top: Block | undefined

  /**
   * @param count what is handed out; several allocators may share one
   * @param first a stretch that is there already
   */
  constructor(
    private readonly source: MemorySource,
    readonly count = new MemoryCount(),
    first?: Stretch,
  ) {
    if (first !== undefined) this.append(first)
  }

  /** @throws OutOfMemoryError */
  allocate(byteLength: number, stream: S, covers: (mark: OrderMark) => boolean): number {
    const size = unitsOf(byteLength)
    this.harvestSome(stream)
    const own = this.pending.get(stream)
    const block =
      // What was freed last is likely to be in a cache.
      own?.classes.findLatest(size) ??
      own?.classes.findNear(size) ??
      this.free.find(size) ??
      own?.classes.find(size) ??
      this.findCovered(size, own, covers) ??
      this.findOrGrow(size, byteLength, own)
    return this.hand(block, size, byteLength, true)
  }

  /** Memory whose earlier uses are all over now, whatever the streams' order. @throws OutOfMemoryError */
  allocateNow(byteLength: number): number {
    const size = unitsOf(byteLength)
    const block = this.free.find(size) ?? this.findOrGrow(size, byteLength)
    return this.hand(block, size, byteLength, false)
  }

  /** The block is its stream's until it has passed `position`. */
  release(address: number, stream: S, position: number, mark: OrderMark | undefined): void {
    const block = this.take(address)
    if (stream.hasPassed(position)) {
      this.merge(block)
      return
    }
    block.position = position
    block.mark = mark
    let frees = this.pending.get(stream)
    if (frees === undefined) {
      frees = new PendingFrees(stream)
      this.pending.set(stream, frees)
      this.rounds.push(frees)
    }
    frees.add(block)
  }

  /** The block is free at once. */
  releaseNow(address: number): void {
    this.merge(this.take(address))
  }

  /** Calls back with every stream and position whose passing frees something. */
  forEachPending(visit: (stream: S, position: number) => void): void {
    for (const { stream, last } of this.pending.values()) if (last !== undefined) visit(stream, last.position)
  }

  /** Frees all whose positions have been passed. */
  harvest(): void {
    for (let index = this.rounds.length - 1; index >= 0; index--) this.harvestOne(index, Infinity)
  }

  /** Was the address handed out, and not released since? */
  owns(address: number): boolean {
    return this.blocks.has(address / ALIGNMENT)
  }

  /** Was memory that is in use handed out while its earlier use was perhaps not over? See {@link Block.isEarly}. */
  isEarly(address: number): boolean {
    return this.blocks.get(address / ALIGNMENT)?.isEarly === true
  }

  /** Forgets the stretches of which nothing is in use or pending, and gives them back to who gave them. */
  releaseUnused(giveBack: (stretch: Stretch) => void): void {
    for (const block of [...this.free.all()]) {
      if (block.above !== undefined || block.below !== undefined) continue
      this.free.remove(block)
      if (block === this.top) this.top = undefined
      giveBack({ address: block.start * ALIGNMENT, byteLength: block.size * ALIGNMENT })
    }
  }

  private harvestSome(stream: S): void {
    const own = this.pending.get(stream)
    if (own !== undefined) this.freePassed(own, HARVEST_STEP)
    if (this.rounds.length === 0) return
    this.turn = (this.turn + 1) % this.rounds.length
    this.harvestOne(this.turn, HARVEST_STEP)
  }

  private harvestOne(index: number, limit: number): void {
    const frees = this.rounds[index]
    if (frees === undefined) return
    this.freePassed(frees, limit)
    if (frees.first !== undefined) return
    this.pending.delete(frees.stream)
    const last = this.rounds.pop()
    if (last !== undefined && last !== frees) this.rounds[index] = last
  }

  private freePassed(frees: PendingFrees<S>, limit: number): void {
    for (let count = 0; count < limit; count++) {
      const block = frees.first
      if (block === undefined || !frees.stream.hasPassed(block.position)) return
      frees.remove(block)
      this.merge(block)
    }
  }

  /** Something pending on another stream that the allocating one is ordered behind. Asks a bounded number of times. */
  private findCovered(
    size: number,
    own: PendingFrees<S> | undefined,
    covers: (mark: OrderMark) => boolean,
  ): Block | undefined {
    let probes = 0
    for (let step = 0; step < this.rounds.length && probes < PROBES; step++) {
      const frees = this.rounds[(this.turn + step) % this.rounds.length]
      if (frees === undefined || frees === own) continue
      const oldest = frees.first?.mark
      // Who is not behind the stream's oldest free is behind none of them. Staging memory has no mark.
      if (oldest !== undefined && probes++ < PROBES && !covers(oldest)) continue
      for (const block of frees.classes.oldest(size)) {
        if (probes++ >= PROBES) break
        if (block.mark !== undefined && covers(block.mark)) return block
      }
    }
    return undefined
  }

  /** Before more is taken from the system, everything is looked at. */
  private findOrGrow(size: number, byteLength: number, own?: PendingFrees<S>): Block {
    if (this.rounds.length > 0) this.source.refresh?.()
    this.harvest()
    const block = this.free.findAny(size) ?? own?.classes.findAny(size) ?? this.grow(size)
    if (block !== undefined) return block
    throw this.source.outOfMemory(byteLength, this.count)
  }

  private grow(size: number): Block | undefined {
    const room = this.top?.state === "free" ? this.top.size * ALIGNMENT : 0
    const stretch = this.source.extend(size * ALIGNMENT, room)
    return stretch === undefined ? undefined : this.append(stretch)
  }

  /** Takes in a stretch: one with the latest if it follows there, else on its own. */
  private append({ address, byteLength }: Stretch): Block {
    const block = new Block(address / ALIGNMENT, Math.floor(byteLength / ALIGNMENT))
    const { top } = this
    if (top !== undefined && this.source.isContiguous && top.start + top.size === block.start) {
      block.below = top
      top.above = block
    }
    this.top = block
    return this.merge(block)
  }

  /** Takes a free or pending block out of its lists and cuts off what is not needed. */
  private hand(block: Block, size: number, byteLength: number, counted: boolean): number {
    block.isEarly = block.frees !== undefined
    if (block.frees !== undefined) {
      if (block.size > size) {
        block.frees.split(block, size)
        if (block === this.top) this.top = block.above
      }
      block.frees.remove(block)
    } else {
      this.free.remove(block)
      if (block.size > size) this.cut(block, size)
    }
    block.state = "used"
    block.byteLength = byteLength
    block.counted = counted
    this.blocks.set(block.start, block)
    if (counted) this.count.add(byteLength)
    else this.count.other += byteLength
    return block.start * ALIGNMENT
  }

  private cut(block: Block, size: number): void {
    const rest = new Block(block.start + size, block.size - size)
    rest.below = block
    rest.above = block.above
    if (rest.above !== undefined) rest.above.below = rest
    if (block === this.top) this.top = rest
    block.above = rest
    block.size = size
    this.free.add(rest)
  }

  private take(address: number): Block {
    const start = address / ALIGNMENT
    const block = this.blocks.get(start)
    if (block === undefined) throw new RangeError(`nothing is allocated at address ${address}`)
    this.blocks.delete(start)
    if (block.counted) this.count.used -= block.byteLength
    else this.count.other -= block.byteLength
    return block
  }

  /** Makes a block free and one with its free neighbours. */
  private merge(block: Block): Block {
    block.state = "free"
    const { above, below } = block
    let merged = block
    if (above?.state === "free") {
      this.free.remove(above)
      this.join(merged, above)
    }
    if (below?.state === "free") {
      this.free.remove(below)
      this.join(below, merged)
      merged = below
    }
    this.free.add(merged)
    return merged
  }

  private join(lower: Block, upper: Block): void {
    lower.size += upper.size
    lower.above = upper.above
    if (upper.above !== undefined) upper.above.below = lower
    if (upper === this.top) this.top = lower
  }
}

function unitsOf(byteLength: number): number {
  return Math.max(1, Math.ceil(byteLength / ALIGNMENT))
}

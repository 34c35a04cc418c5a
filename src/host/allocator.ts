import type { MemoryUsage, OrderMark } from "../driver.js"
import { OutOfMemoryError } from "../runtime/errors.js"
import { Block } from "./block.js"
import { PendingFrees, type Progress } from "./pending-frees.js"
import { SizeClasses } from "./size-classes.js"

/** Every block begins at a multiple of this, in bytes. */
export const ALIGNMENT = 256

const HARVEST_STEP = 4
const PROBES = 16
const GROWTH_LIMIT = 256 * 2 ** 20

/** Where an allocator's memory comes from. */
export interface GrowingMemory {
  /** Bytes there are now. */
  readonly byteLength: number
  /** Bytes there can be. */
  readonly limit: number
  /** Makes it so many bytes long at least; false if it cannot be had. */
  tryReach(byteLength: number): boolean
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
  private top: Block | undefined
  private used = 0
  private peak = 0
  private uncounted = 0

  constructor(private readonly memory: GrowingMemory) {
    const units = Math.floor(memory.byteLength / ALIGNMENT)
    // The first bytes are never handed out, so that no address is 0.
    this.top = new Block(1, units - 1)
    this.free.add(this.top)
  }

  /** @throws OutOfMemoryError */
  allocate(byteLength: number, stream: S, covers: (mark: OrderMark) => boolean): number {
    const size = unitsOf(byteLength)
    this.harvestSome(stream)
    const own = this.pending.get(stream)
    const block =
      own?.classes.findNear(size) ??
      this.free.find(size) ??
      own?.classes.find(size) ??
      this.findCovered(size, own, covers) ??
      this.findOrGrow(size, byteLength)
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

  usage(): MemoryUsage {
    return { used: this.used, reserved: this.memory.byteLength, peak: this.peak }
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

  private findOrGrow(size: number, byteLength: number): Block {
    this.harvest()
    const found = this.free.find(size)
    if (found !== undefined) return found
    const grown = this.grow(size) ?? this.free.findAny(size)
    if (grown !== undefined) return grown
    const { memory } = this
    throw new OutOfMemoryError(
      `the host device cannot allocate ${byteLength} bytes: ${this.used} bytes are used by arrays and ` +
        `${this.uncounted} by pinned and staging memory, of ${memory.byteLength} reserved and at most ${memory.limit}: ` +
        "dispose arrays, or work in smaller pieces",
    )
  }

  private grow(size: number): Block | undefined {
    const { memory } = this
    const before = memory.byteLength
    const room = this.top?.state === "free" ? this.top.size * ALIGNMENT : 0
    const needed = before + size * ALIGNMENT - room
    if (needed > memory.limit) return undefined
    const generous = Math.min(memory.limit, Math.max(needed, before + Math.min(before, GROWTH_LIMIT)))
    if (!memory.tryReach(generous) && !memory.tryReach(needed)) return undefined
    const start = before / ALIGNMENT
    const block = new Block(start, memory.byteLength / ALIGNMENT - start)
    block.below = this.top
    if (this.top !== undefined) this.top.above = block
    this.top = block
    return this.merge(block)
  }

  /** Takes a free or pending block out of its lists and cuts off what is not needed. */
  private hand(block: Block, size: number, byteLength: number, counted: boolean): number {
    if (block.frees !== undefined) {
      if (block.size > size) {
        const wasTop = block.above === undefined
        block.frees.split(block, size)
        if (wasTop) this.top = block.above
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
    if (counted) {
      this.used += byteLength
      this.peak = Math.max(this.peak, this.used)
    } else {
      this.uncounted += byteLength
    }
    return block.start * ALIGNMENT
  }

  private cut(block: Block, size: number): void {
    const rest = new Block(block.start + size, block.size - size)
    rest.below = block
    rest.above = block.above
    if (rest.above !== undefined) rest.above.below = rest
    else this.top = rest
    block.above = rest
    block.size = size
    this.free.add(rest)
  }

  private take(address: number): Block {
    const start = address / ALIGNMENT
    const block = this.blocks.get(start)
    if (block === undefined) throw new RangeError(`nothing is allocated at address ${address}`)
    this.blocks.delete(start)
    if (block.counted) this.used -= block.byteLength
    else this.uncounted -= block.byteLength
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
    if (upper.above === undefined) this.top = lower
    else upper.above.below = lower
  }
}

function unitsOf(byteLength: number): number {
  return Math.max(1, Math.ceil(byteLength / ALIGNMENT))
}

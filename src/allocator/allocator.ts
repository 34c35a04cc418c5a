import type { OrderMark } from "../driver/memory.js"
import { Block } from "./block.js"
import { MemoryCount } from "./memory-count.js"
import { PendingFrees, type Progress } from "./pending-frees.js"
import { SizeClasses } from "./size-classes.js"

/** Every block begins at a multiple of this, in bytes. */
export const ALIGNMENT = 256

/** Units on each side of an allocation, if allocations are guarded. */
const GUARD = 1

const HARVEST_STEP = 4
const PROBES = 16

/**
 * This many addresses stay in the map of blocks after their blocks have been released: a map that deletes and adds the same
 * few keys again and again is rebuilt all the time.
 */
const KEPT = 1024

/** A contiguous piece of memory from a source, in bytes. Begins at a multiple of 256. */
export interface Stretch {
  readonly address: number
  readonly byteLength: number
}

/** An allocation, and the memory around it that belongs to it alone: addresses. */
export interface Surroundings {
  readonly outerBegin: number
  readonly begin: number
  readonly end: number
  readonly outerEnd: number
}

/** Where an allocator's memory comes from. */
export interface MemorySource {
  /** Whether the memory is one growing range, so that adjacent stretches may be merged. */
  readonly isContiguous: boolean
  /**
   * One more stretch of at least `byteLength` bytes; undefined if there is none. The last `room` bytes of the latest stretch
   * are free, so a stretch that follows it without a gap may be smaller by that much.
   */
  extend(byteLength: number, room: number): Stretch | undefined
  /**
   * Updates the streams' progress where that is not free. Called when no memory is left that is known to be free.
   */
  refresh?(): void
  /** The error of an allocation that failed. */
  outOfMemory(byteLength: number, count: MemoryCount): Error
}

/**
 * Allocates device memory in stream order, without reading any queue. A block that is freed on a stream at a position is
 * pending until the stream has passed that position. Until then the allocator must give it only to the same stream or to a
 * stream that is ordered after the free.
 *
 * Internally, sizes and addresses are in units of 256 bytes. Finding a block takes a bounded number of steps, however many
 * blocks are free or pending. Adjacent free blocks are merged at once.
 */
export class Allocator<S extends Progress = Progress> {
  readonly count: MemoryCount
  readonly #source: MemorySource
  readonly #free = new SizeClasses()
  /** By address: all allocated blocks, and some that have been released. */
  readonly #blocks = new Map<number, Block>()
  readonly #pending = new Map<S, PendingFrees<S>>()
  /** The values of `#pending`, in the order of their visits. A removed one is replaced by the last. */
  readonly #rounds: PendingFrees<S>[] = []
  #turn = 0
  /** The last block of the latest stretch. */
  #top: Block | undefined
  /** How many units before and after each new allocation belong to nobody. */
  #guard = 0

  /**
   * @param count counts the allocated memory; several allocators may share one
   * @param first a stretch that exists already
   */
  constructor(source: MemorySource, count = new MemoryCount(), first?: Stretch) {
    this.#source = source
    this.count = count
    if (first !== undefined) this.#append(first)
  }

  /** @throws OutOfMemoryError */
  allocate(byteLength: number, stream: S, happensBefore: (mark: OrderMark) => boolean): number {
    const size = this.#sizeOf(byteLength)
    this.#harvestSome(stream)
    const own = this.#pending.get(stream)
    const block =
      // The block freed last is likely to be in a cache.
      own?.classes.findLatest(size) ??
      own?.classes.findNear(size) ??
      this.#free.find(size) ??
      own?.classes.find(size) ??
      this.#findOrdered(size, own, happensBefore) ??
      this.#findOrGrow(size, byteLength, own)
    return this.#hand(block, size, byteLength, true)
  }

  /** Memory whose earlier uses are all over now, so that any stream may use it. @throws OutOfMemoryError */
  allocateNow(byteLength: number): number {
    const size = this.#sizeOf(byteLength)
    const block = this.#free.find(size) ?? this.#findOrGrow(size, byteLength)
    return this.#hand(block, size, byteLength, false)
  }

  /** Frees a block on a stream: until the stream has passed `position`, its earlier uses may still run. */
  release(address: number, stream: S, position: number, mark: OrderMark | undefined): void {
    const block = this.#take(address)
    if (stream.hasPassed(position)) {
      this.#merge(block)
      return
    }
    block.position = position
    block.mark = mark
    let frees = this.#pending.get(stream)
    if (frees === undefined) {
      frees = new PendingFrees(stream)
      this.#pending.set(stream, frees)
      this.#rounds.push(frees)
    }
    frees.add(block)
  }

  /** Frees a block whose uses are over. */
  releaseNow(address: number): void {
    this.#merge(this.#take(address))
  }

  /** Calls `visit` with each stream that has pending blocks, and the position of the last one. */
  forEachPending(visit: (stream: S, position: number) => void): void {
    for (const { stream, last } of this.#pending.values()) if (last !== undefined) visit(stream, last.position)
  }

  /** Frees all pending blocks whose position has been passed. */
  harvest(): void {
    for (let index = this.#rounds.length - 1; index >= 0; index--) this.#harvestOne(index, Infinity)
  }

  /** Whether the address is allocated. */
  owns(address: number): boolean {
    return this.#blocks.get(address / ALIGNMENT)?.state === "used"
  }

  /** Whether allocated memory may still have been in use when it was allocated. See {@link Block.isEarly}. */
  isEarly(address: number): boolean {
    const block = this.#blocks.get(address / ALIGNMENT)
    return block?.state === "used" && block.isEarly
  }

  /** Has later allocations keep memory free before and after them, or not. */
  guard(isOn: boolean): void {
    this.#guard = isOn ? GUARD : 0
  }

  /** The allocation that contains an address, with the memory beside it that belongs to nobody. */
  around(address: number): Surroundings | undefined {
    const unit = Math.floor(address / ALIGNMENT)
    const known = this.#blocks.get(unit)
    const block = known !== undefined && contains(known, unit) ? known : this.#search(unit)
    if (block === undefined) return undefined
    const begin = (block.start + block.guard) * ALIGNMENT
    const outerEnd = (block.start + block.size) * ALIGNMENT
    return { outerBegin: block.start * ALIGNMENT, begin, end: begin + block.byteLength, outerEnd }
  }

  #search(unit: number): Block | undefined {
    for (const block of this.#blocks.values()) if (contains(block, unit)) return block
    return undefined
  }

  #sizeOf(byteLength: number): number {
    return unitsOf(byteLength) + 2 * this.#guard
  }

  /** Removes the stretches that are entirely free, and passes them to `release`. */
  releaseUnused(release: (stretch: Stretch) => void): void {
    for (const block of [...this.#free.all()]) {
      if (block.above !== undefined || block.below !== undefined) continue
      this.#free.remove(block)
      if (block === this.#top) this.#top = undefined
      release({ address: block.start * ALIGNMENT, byteLength: block.size * ALIGNMENT })
    }
  }

  #harvestSome(stream: S): void {
    const own = this.#pending.get(stream)
    if (own !== undefined) this.#freePassed(own, HARVEST_STEP)
    if (this.#rounds.length === 0) return
    this.#turn = (this.#turn + 1) % this.#rounds.length
    this.#harvestOne(this.#turn, HARVEST_STEP)
  }

  #harvestOne(index: number, limit: number): void {
    const frees = this.#rounds[index]
    if (frees === undefined) return
    this.#freePassed(frees, limit)
    if (frees.first !== undefined) return
    this.#pending.delete(frees.stream)
    const last = this.#rounds.pop()
    if (last !== undefined && last !== frees) this.#rounds[index] = last
  }

  #freePassed(frees: PendingFrees<S>, limit: number): void {
    for (let count = 0; count < limit; count++) {
      const block = frees.first
      if (block === undefined || !frees.stream.hasPassed(block.position)) return
      frees.remove(block)
      this.#merge(block)
    }
  }

  /** A block pending on another stream whose free is ordered before this allocation. Makes a bounded number of checks. */
  #findOrdered(
    size: number,
    own: PendingFrees<S> | undefined,
    happensBefore: (mark: OrderMark) => boolean,
  ): Block | undefined {
    let probes = 0
    for (let step = 0; step < this.#rounds.length && probes < PROBES; step++) {
      const frees = this.#rounds[(this.#turn + step) % this.#rounds.length]
      if (frees === undefined || frees === own) continue
      const oldest = frees.first?.mark
      // If the oldest free is not ordered before us, no later one is. Staging memory has no mark.
      if (oldest !== undefined && probes++ < PROBES && !happensBefore(oldest)) continue
      for (const block of frees.classes.oldest(size)) {
        if (probes++ >= PROBES) break
        if (block.mark !== undefined && happensBefore(block.mark)) return block
      }
    }
    return undefined
  }

  /** Searches everything before it requests more memory from the system. */
  #findOrGrow(size: number, byteLength: number, own?: PendingFrees<S>): Block {
    if (this.#rounds.length > 0) this.#source.refresh?.()
    this.harvest()
    const block = this.#free.findAny(size) ?? own?.classes.findAny(size) ?? this.#grow(size)
    if (block !== undefined) return block
    throw this.#source.outOfMemory(byteLength, this.count)
  }

  #grow(size: number): Block | undefined {
    const room = this.#top?.state === "free" ? this.#top.size * ALIGNMENT : 0
    const stretch = this.#source.extend(size * ALIGNMENT, room)
    return stretch === undefined ? undefined : this.#append(stretch)
  }

  /** Adds a stretch, merged with the latest one if it follows that without a gap. */
  #append({ address, byteLength }: Stretch): Block {
    const block = new Block(address / ALIGNMENT, Math.floor(byteLength / ALIGNMENT))
    const top = this.#top
    if (top !== undefined && this.#source.isContiguous && top.start + top.size === block.start) {
      block.below = top
      top.above = block
    }
    this.#top = block
    return this.#merge(block)
  }

  /** Removes a free or pending block from its lists, cuts it to size and marks it as used. */
  #hand(block: Block, size: number, byteLength: number, counted: boolean): number {
    block.isEarly = block.frees !== undefined
    if (block.frees !== undefined) {
      if (block.size > size) {
        block.frees.split(block, size)
        if (block === this.#top) this.#top = block.above
      }
      block.frees.remove(block)
    } else {
      this.#free.remove(block)
      if (block.size > size) this.#cut(block, size)
    }
    block.state = "used"
    block.byteLength = byteLength
    block.counted = counted
    block.guard = this.#guard
    const start = block.start + this.#guard
    this.#blocks.set(start, block)
    if (counted) this.count.add(byteLength)
    else this.count.other += byteLength
    return start * ALIGNMENT
  }

  #cut(block: Block, size: number): void {
    const rest = new Block(block.start + size, block.size - size)
    rest.below = block
    rest.above = block.above
    if (rest.above !== undefined) rest.above.below = rest
    if (block === this.#top) this.#top = rest
    block.above = rest
    block.size = size
    this.#free.add(rest)
  }

  #take(address: number): Block {
    const start = address / ALIGNMENT
    const block = this.#blocks.get(start)
    if (block?.state !== "used") throw new RangeError(`nothing is allocated at address ${address}`)
    if (this.#blocks.size > KEPT || block.guard > 0) this.#blocks.delete(start)
    if (block.counted) this.count.used -= block.byteLength
    else this.count.other -= block.byteLength
    return block
  }

  /** Marks a block as free and merges it with its free neighbours. */
  #merge(block: Block): Block {
    block.state = "free"
    const { above, below } = block
    let merged = block
    if (above?.state === "free") {
      this.#free.remove(above)
      this.#join(merged, above)
    }
    if (below?.state === "free") {
      this.#free.remove(below)
      this.#join(below, merged)
      merged = below
    }
    this.#free.add(merged)
    return merged
  }

  #join(lower: Block, upper: Block): void {
    lower.size += upper.size
    lower.above = upper.above
    if (upper.above !== undefined) upper.above.below = lower
    if (upper === this.#top) this.#top = lower
    // The map of blocks may hold `upper` for long. It must not keep other merged blocks alive.
    upper.above = undefined
    upper.below = undefined
  }
}

function contains(block: Block, unit: number): boolean {
  return block.state === "used" && block.start <= unit && unit < block.start + block.size
}

function unitsOf(byteLength: number): number {
  return Math.max(1, Math.ceil(byteLength / ALIGNMENT))
}

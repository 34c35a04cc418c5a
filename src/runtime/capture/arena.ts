import type { EventHandle } from "../../driver/handles.js"
import type { Allocation } from "../memory/allocation.js"
import type { Birth } from "../memory/birth.js"
import { CapturedBirth } from "./captured-birth.js"
import { type Block, Recycling, type RegionWork } from "../memory/recycling.js"
import type { EventPool } from "../order/event-pool.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { ArrayMemory } from "../memory/used-memory.js"
import type { StreamState, Use } from "../order/stream-state.js"
import { RetainedMemory } from "../memory/retained.js"
import { Uses } from "../memory/uses.js"
import { Writes } from "../memory/writes.js"

/**
 * The memory of the arrays made inside a capture. It belongs to the graph. It is allocated outside of the capture, so that
 * no allocation becomes a node, and kept until the graph is disposed of, so that results stay readable between launches.
 * Memory that is disposed of inside the capture is reused there if the capture's clocks allow it.
 */
export class Arena extends RetainedMemory {
  readonly #blocks: ArenaBlock[] = []
  #free: ArenaBlock[] = []
  readonly #allocateOutside: (byteLength: number) => Allocation
  readonly #around: Arena | undefined
  /** The writes to all of these arrays. Each launch writes whatever it reads of them. */
  override readonly writes = new Writes()
  #sealed = false
  /** The events of the births inside the capture. */
  readonly #events: EventHandle[] = []

  /** @param around the arena of the enclosing graph, if this is the arena of a conditional's body */
  constructor(allocateOutside: (byteLength: number) => Allocation, around?: Arena) {
    super()
    this.#allocateOutside = allocateOutside
    this.#around = around
  }

  /** Whether the arrays have ended. Arrays of a body end with the enclosing graph. */
  override get disposed(): boolean {
    return super.disposed || this.#around?.disposed === true
  }

  /** Memory that a region takes blocks from and gives them back to. The region orders the uses of its arrays by address. */
  openRegion(stream: StreamState, work: RegionWork): ArenaRegion {
    const region = new ArenaRegion(this, stream, work, (byteLength) => this.#grow(byteLength))
    const isBefore = (block: ArenaBlock) => block.uses.isBefore(stream)
    for (const block of this.#free.filter(isBefore)) region.offer(block)
    this.#free = this.#free.filter((block) => !isBefore(block))
    return region
  }

  /** Allocates memory for an array that is made on a stream of the capture. */
  allocate(stream: StreamState, byteLength: number): ArenaArray {
    const used = this.#reuse(stream, byteLength)
    const array =
      used === undefined
        ? new ArenaArray(this, this.#grow(byteLength), byteLength)
        : new ArenaArray(this, used, byteLength, this.birthOn(stream))
    stream.order.observer?.allocated(stream, array, array.address, byteLength)
    return array
  }

  /**
   * The smallest free block that is large enough, wastes little, and whose last uses happen before the stream's next
   * operation.
   */
  #reuse(stream: StreamState, byteLength: number): ArenaBlock | undefined {
    let best: ArenaBlock | undefined
    for (const block of this.#free) {
      const size = block.allocation.byteLength
      if (size < byteLength || size > 2 * byteLength || size >= (best?.allocation.byteLength ?? Infinity)) continue
      if (block.uses.isBefore(stream)) best = block
    }
    if (best !== undefined) this.#free = this.#free.filter((block) => block !== best)
    return best
  }

  /** Makes a birth after everything that the stream has captured so far. */
  birthOn(stream: StreamState): CapturedBirth {
    const event = stream.order.events.acquire()
    this.#events.push(event)
    return CapturedBirth.on(stream, event)
  }

  #grow(byteLength: number): ArenaBlock {
    const block = { allocation: this.#allocateOutside(byteLength), uses: new Uses(), capacity: byteLength }
    this.#blocks.push(block)
    return block
  }

  /** The allocations of the memory. Every launch of the graph is ordered after them. */
  get allocations(): Allocation[] {
    return this.#blocks.map(({ allocation }) => allocation)
  }

  /** The capture has ended: no block is reused any more. */
  seal(pool: EventPool): void {
    this.#sealed = true
    for (const event of this.#events.splice(0)) pool.release(event)
  }

  /** An array was disposed of inside the capture, so its block can be reused. */
  giveUp(block: ArenaBlock): void {
    if (!this.#sealed) this.#free.push(block)
  }

  protected override free(): void {
    const uses = this.uses.list()
    for (const { allocation } of this.#blocks) {
      for (const use of uses) allocation.uses.add(use)
      allocation.dispose()
    }
  }
}

/** A block of an arena. */
export interface ArenaBlock extends Block {
  readonly allocation: Allocation
  /** Its uses inside the capture, by the capture's clocks. */
  readonly uses: Uses
}

/** The memory of one array made inside a capture. */
export class ArenaArray implements ArrayMemory {
  readonly arena: Arena
  readonly address: number
  readonly #block: ArenaBlock
  #disposed = false
  /** Its birth inside the capture; undefined if that is the memory's {@link birth}, after which all launches run. */
  #capturedBirth: CapturedBirth | undefined
  readonly #region: ArenaRegion | undefined
  readonly #byteLength: number

  /** @param region the open region in which it is made */
  constructor(arena: Arena, block: ArenaBlock, byteLength: number, birth?: CapturedBirth, region?: ArenaRegion) {
    this.arena = arena
    this.#byteLength = byteLength
    this.#block = block
    this.#capturedBirth = birth
    this.#region = region
    this.address = block.allocation.address
  }

  get disposed(): boolean {
    return this.#disposed || this.arena.disposed
  }

  /** Uses outside the capture. All arrays of a graph share one record. */
  get uses(): Uses {
    return this.arena.uses
  }

  get writes(): Writes {
    return this.arena.writes
  }

  /** Uses inside the capture. */
  get captureUses(): Uses {
    return this.#block.uses
  }

  /** The birth of the memory outside the capture. Before the graph's first launch, nothing has been written to it. */
  get birth(): Birth | undefined {
    return this.#block.allocation.birth
  }

  get capturedBirth(): CapturedBirth | undefined {
    return this.#capturedBirth
  }

  get isPlaced(): boolean {
    return this.#region?.isOpen === true
  }

  noteContents(stream: StreamState): void {
    if (!this.isPlaced) this.#capturedBirth = this.arena.birthOn(stream)
    const { byteLength } = this.#block.allocation
    stream.order.observer?.born(stream, this, this.address, byteLength)
  }

  /** A fence of its region: moves the birth to this place in the order of the region's stream. */
  settle(stream: StreamState): void {
    this.#capturedBirth = this.arena.birthOn(stream)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    if (this.#region?.isOpen === true) this.#region.giveBack(this, this.#block, this.#byteLength)
    else this.arena.giveUp(this.#block)
  }

  get launchGroup(): LaunchGroup {
    return this.arena.launchGroup
  }

  retain(): void {
    this.arena.retain()
  }

  release(launches: readonly Use[]): void {
    this.arena.release(launches)
  }
}

/** The part of an arena that a region uses, on all of its streams. See {@link Recycling}. */
export class ArenaRegion {
  readonly #arena: Arena
  readonly #stream: StreamState
  readonly #grow: (byteLength: number) => ArenaBlock
  readonly #blocks: Recycling<ArenaBlock>
  /** The arrays made since the latest fence that still exist. */
  #made = new Set<ArenaArray>()
  #isOpen = true

  /** @param stream the current stream of the region */
  constructor(arena: Arena, stream: StreamState, work: RegionWork, grow: (byteLength: number) => ArenaBlock) {
    this.#arena = arena
    this.#blocks = new Recycling(work)
    this.#stream = stream
    this.#grow = grow
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  offer(block: ArenaBlock): void {
    this.#blocks.offer(block)
  }

  allocate(byteLength: number): ArenaArray {
    this.#stream.enter()
    let block = this.#blocks.take(byteLength)
    if (block === undefined) {
      block = this.#grow(byteLength)
      this.#blocks.grown(byteLength)
    }
    const array = new ArenaArray(this.#arena, block, byteLength, undefined, this)
    this.#made.add(array)
    this.#stream.order.observer?.allocated(this.#stream, array, array.address, byteLength)
    return array
  }

  giveBack(array: ArenaArray, block: ArenaBlock, byteLength: number): void {
    this.#made.delete(array)
    this.#blocks.giveBack(block, byteLength)
  }

  /** Called at each fence, once the region's stream runs after everything. */
  fence(): void {
    const made = this.#made
    this.#made = new Set()
    for (const array of made) array.settle(this.#stream)
    this.#blocks.fence()
  }

  /** The region is over, and its stream runs after everything in it. */
  end(): void {
    this.fence()
    this.#isOpen = false
    for (const block of this.#blocks.empty()) this.#arena.giveUp(block)
  }
}

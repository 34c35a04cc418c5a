import type { EventHandle } from "../../driver.js"
import type { Allocation } from "../memory/allocation.js"
import type { Birth } from "../memory/birth.js"
import { CapturedBirth } from "./captured-birth.js"
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
  readonly writes = new Writes()
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

  /** Allocates memory for an array that is made on a stream of the capture. */
  allocate(stream: StreamState, byteLength: number): ArenaArray {
    const used = this.#reuse(stream, byteLength)
    const array =
      used === undefined
        ? new ArenaArray(this, this.#grow(byteLength))
        : new ArenaArray(this, used, this.birthOn(stream))
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
    const block = { allocation: this.#allocateOutside(byteLength), uses: new Uses() }
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
interface ArenaBlock {
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

  constructor(arena: Arena, block: ArenaBlock, birth?: CapturedBirth) {
    this.arena = arena
    this.#block = block
    this.#capturedBirth = birth
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

  noteContents(stream: StreamState): void {
    this.#capturedBirth = this.arena.birthOn(stream)
    const { byteLength } = this.#block.allocation
    stream.order.observer?.born(stream, this, this.address, byteLength)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.arena.giveUp(this.#block)
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

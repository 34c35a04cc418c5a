import type { EventHandle } from "../../driver.js"
import type { Allocation } from "../memory/allocation.js"
import type { Birth } from "../memory/birth.js"
import { CapturedBirth } from "./captured-birth.js"
import type { EventPool } from "../order/event-pool.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { ArrayMemory } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"
import { RetainedMemory } from "../memory/retained.js"
import { Uses } from "../memory/uses.js"
import type { Use } from "../order/use.js"
import { Writes } from "../memory/writes.js"

/**
 * The memory of the arrays that are made inside a capture. It belongs to the graph: taken outside the capture, so that
 * no allocation becomes a node, and kept until the graph is disposed of, so that results stay readable between
 * launches. What is disposed of inside is used again inside, where the capture's clocks allow it.
 */
export class Arena extends RetainedMemory {
  readonly #blocks: ArenaBlock[] = []
  #free: ArenaBlock[] = []
  readonly #allocateOutside: (byteLength: number) => Allocation
  readonly #around: Arena | undefined
  /** Of all arrays together: each launch writes what it reads of them. */
  readonly writes = new Writes()
  #sealed = false
  /** Of births inside the capture. */
  readonly #events: EventHandle[] = []

  /** `around`: of the graph that the arena's is a body in. */
  constructor(allocateOutside: (byteLength: number) => Allocation, around?: Arena) {
    super()
    this.#allocateOutside = allocateOutside
    this.#around = around
  }

  /** Have the arrays ended? Those of a body do with the graph that it is in. */
  override get disposed(): boolean {
    return super.disposed || this.#around?.disposed === true
  }

  /** Memory for an array that is made on a capturing stream. */
  allocate(stream: StreamState, byteLength: number): ArenaArray {
    const used = this.#reuse(stream, byteLength)
    if (used === undefined) return new ArenaArray(this, this.#grow(byteLength))
    return new ArenaArray(this, used, this.birthOn(stream))
  }

  /** The smallest block that is free, large enough without waste, and whose last uses the stream is ordered behind. */
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

  /** Something begins behind all that the stream has captured so far. */
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

  /** Where the memory comes from: what every launch of the graph is ordered behind. */
  get allocations(): Allocation[] {
    return this.#blocks.map(({ allocation }) => allocation)
  }

  /** The capture is over: no block is given out any more. */
  seal(pool: EventPool): void {
    this.#sealed = true
    for (const event of this.#events.splice(0)) pool.release(event)
  }

  /** An array inside the capture is done with its block. */
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

/** A piece of an arena. */
interface ArenaBlock {
  readonly allocation: Allocation
  /** Its uses inside the capture, in the capture's time. */
  readonly uses: Uses
}

/** The memory of one array that was made inside a capture. */
export class ArenaArray implements ArrayMemory {
  readonly arena: Arena
  readonly address: number
  readonly #block: ArenaBlock
  #disposed = false
  /** Where it begins inside the capture; undefined if that is the memory's {@link birth}, which launches come behind. */
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

  /** Uses outside the capture: all arrays of a graph share one record. */
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

  /** Of the memory, outside the capture: before the graph's first launch, nothing has been written to it. */
  get birth(): Birth | undefined {
    return this.#block.allocation.birth
  }

  get capturedBirth(): CapturedBirth | undefined {
    return this.#capturedBirth
  }

  noteContents(stream: StreamState): void {
    this.#capturedBirth = this.arena.birthOn(stream)
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

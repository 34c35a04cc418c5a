import type { Allocation } from "./allocation.js"
import type { LaunchGroup } from "./launch-group.js"
import type { ArrayMemory } from "./operation.js"
import type { StreamState } from "./stream-state.js"
import { RetainedMemory } from "./retained.js"
import { type Use, Uses } from "./uses.js"

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
  #sealed = false

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
    return new ArenaArray(this, this.#reuse(stream, byteLength) ?? this.#grow(byteLength))
  }

  /** The smallest block that is free, large enough without waste, and whose last uses the stream is ordered behind. */
  #reuse(stream: StreamState, byteLength: number): ArenaBlock | undefined {
    let best: ArenaBlock | undefined
    for (const block of this.#free) {
      const size = block.allocation.byteLength
      if (size < byteLength || size > 2 * byteLength || size >= (best?.allocation.byteLength ?? Infinity)) continue
      if (block.uses.areBefore(stream)) best = block
    }
    if (best !== undefined) this.#free = this.#free.filter((block) => block !== best)
    return best
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
  seal(): void {
    this.#sealed = true
  }

  /** An array inside the capture is done with its block. */
  giveUp(block: ArenaBlock): void {
    if (!this.#sealed) this.#free.push(block)
  }

  protected override giveBack(): void {
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

  constructor(arena: Arena, block: ArenaBlock) {
    this.arena = arena
    this.#block = block
    this.address = block.allocation.address
  }

  get disposed(): boolean {
    return this.#disposed || this.arena.disposed
  }

  /** Uses outside the capture: all arrays of a graph share one record. */
  get uses(): Uses {
    return this.arena.uses
  }

  /** Uses inside the capture. */
  get captureUses(): Uses {
    return this.#block.uses
  }

  get origin(): Use | undefined {
    return this.#block.allocation.origin
  }

  /** The memory is valid from the graph's first launch on; before, nothing has been written to it. */
  orderBefore(stream: StreamState): void {
    this.#block.allocation.orderBefore(stream)
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

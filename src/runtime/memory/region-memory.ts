/**
 * The memory of arrays that a region makes outside of captures. Arrays that the region disposes of are not freed: other
 * arrays of the region get their memory, on whatever streams, because the region orders operations by address.
 *
 * Until a fence, uses of the arrays have no births to wait for. A fence moves the births behind everything in the region.
 */
import type { Ordered } from "../clock/vector-clock.js"
import { RecordPoint } from "../order/record-point.js"
import type { StreamState } from "../order/stream-state.js"
import { addressOn, Allocation } from "./allocation.js"
import { type Block, Recycling, type RegionWork } from "./recycling.js"

export class RegionMemory {
  readonly stream: StreamState
  readonly #blocks: Recycling<RegionAllocation>
  /** The arrays made since the latest fence that still exist. */
  #made = new Set<RegionAllocation>()
  /** What runs before every operation of the region since the latest fence. */
  readonly #start = new RecordPoint()
  readonly #before: Ordered = {
    isAfter: (slot, tick) =>
      this.#start.isAfter(slot, tick) || (this.stream.capture === undefined && this.#hostIsAfter(slot, tick)),
  }
  #isOpen = true

  /** @param stream the current stream of the region */
  constructor(stream: StreamState, work: RegionWork) {
    this.stream = stream
    this.#blocks = new Recycling(work)
    stream.mark(this.#start)
  }

  #hostIsAfter(slot: number, tick: number): boolean {
    return this.stream.order.hostClock.isAfter(slot, tick)
  }

  /**
   * Allocates memory for an array.
   *
   * @param fence makes later operations run after all earlier ones, and calls {@link fence}
   */
  allocate(byteLength: number, fence: () => void): Allocation {
    if (byteLength === 0) return Allocation.on(this.stream, 0)
    const former = this.#blocks.take(byteLength)
    if (former === undefined && this.#blocks.isCramped(byteLength)) {
      // No block fits, and together they are large. The driver can cut and merge them once they are free.
      fence()
    }
    const allocation = former === undefined ? this.#grow(byteLength) : former.again(byteLength)
    this.#made.add(allocation)
    return allocation
  }

  #grow(byteLength: number): RegionAllocation {
    this.stream.enter()
    this.stream.order.deferredReleases.retryHeld()
    const isPlain = this.stream.order.driver.memory.allocatesInOrder !== true
    const address = addressOn(this.stream, byteLength, isPlain, this.#before)
    this.#blocks.grown(byteLength)
    const allocation = new RegionAllocation(this, this.stream, address, byteLength, byteLength)
    // Everything in the region runs after what used the memory before. Only an allocation that is an operation must be waited for.
    if (isPlain) allocation.birth?.hold()
    return allocation
  }

  /** Called by a disposed array. @returns whether its memory is kept for other arrays */
  giveBack(allocation: RegionAllocation): boolean {
    if (!this.#isOpen) return false
    this.#made.delete(allocation)
    this.#blocks.giveBack(allocation, allocation.byteLength)
    return true
  }

  /**
   * Called at each fence, once the region's stream runs after everything. Frees what could be reused: on that stream, where
   * the next operations run after it, too.
   */
  fence(): void {
    const made = this.#made
    this.#made = new Set()
    for (const allocation of made) allocation.settle()
    for (const block of this.#blocks.empty()) block.freeNow()
    this.stream.order.captures.flush()
    this.stream.mark(this.#start)
  }

  /** The region is over, and its stream runs after everything in it. */
  end(): void {
    this.fence()
    this.#isOpen = false
  }
}

/** The memory of one array that a region made. */
class RegionAllocation extends Allocation implements Block {
  readonly capacity: number
  override readonly isPlaced = true
  readonly #region: RegionMemory
  readonly #stream: StreamState

  constructor(region: RegionMemory, stream: StreamState, address: number, byteLength: number, capacity: number) {
    super(stream.order, address, byteLength, stream)
    this.capacity = capacity
    this.#region = region
    this.#stream = stream
  }

  /** The same memory for another array. It is freed behind the uses of all its arrays. */
  again(byteLength: number): RegionAllocation {
    const next = new RegionAllocation(this.#region, this.#stream, this.address, byteLength, this.capacity)
    for (const use of this.uses.list()) next.uses.add(use)
    // The next array's uses run after the former one's, and so after the allocation.
    if (this.birth?.isOver === true || this.uses.list().length > 0) next.birth?.hold()
    return next
  }

  /** The region orders the first contents like any other operation. */
  override noteContents(): void {
    this.order.observer?.born(this.#stream, this, this.address, this.byteLength)
  }

  /** Moves the birth to this place in the order of the region's stream. */
  settle(): void {
    this.birth?.settle()
  }

  protected override free(): void {
    if (!this.#region.giveBack(this)) super.free()
  }

  freeNow(): void {
    super.free()
  }
}

import type { OrderMark } from "../../driver/memory.js"
import { Birth } from "./birth.js"
import { DeviceLostError } from "../../common/errors.js"
import { warnOnce } from "../../common/warn.js"
import type { Ordered } from "../clock/vector-clock.js"
import type { ArrayMemory } from "./used-memory.js"
import type { DeviceOrder } from "../order/device-order.js"
import { RetainedMemory } from "./retained.js"
import type { StreamState, Use } from "../order/stream-state.js"
import { Writes } from "./writes.js"

/**
 * A piece of device memory, which an array and its views share. It records every use that the library queued, so that it
 * can be freed safely at any time.
 */
export class Allocation extends RetainedMemory implements ArrayMemory {
  readonly order: DeviceOrder
  readonly address: number
  readonly byteLength: number
  /** Whether the memory belongs to another library, which may use it through other arrays, too. */
  readonly isForeign: boolean = false
  readonly isPlaced: boolean = false
  /** The birth; undefined if the memory belongs to another library, or is empty. */
  readonly #home: StreamState | undefined

  protected constructor(order: DeviceOrder, address: number, byteLength: number, home: StreamState | undefined) {
    super(
      home && new Birth(home, address, byteLength, home.advanceMemory()),
      order.driver.streams.watchFailures === undefined ? undefined : new Writes(),
    )
    this.order = order
    this.address = address
    this.byteLength = byteLength
    this.#home = home
    if (home !== undefined) order.observer?.allocated(home, this, address, byteLength)
  }

  /**
   * Allocates memory on a stream. If there is none, waits for all pending frees first. `contentsFollow` promises a call of
   * {@link noteContents} before any other use.
   */
  static on(stream: StreamState, byteLength: number, contentsFollow = false): Allocation {
    stream.enter()
    const { order } = stream
    order.deferredReleases.retryHeld()
    if (byteLength === 0) return new Allocation(order, 0, 0, undefined)
    return new Allocation(order, addressOn(stream, byteLength, contentsFollow, stream), byteLength, stream)
  }

  /** Memory of another library. Its uses are recorded, but it is never freed. */
  static wrapping(order: DeviceOrder, address: number, byteLength: number): Allocation {
    return new ForeignAllocation(order, address, byteLength, undefined)
  }

  /** The first contents become part of the birth, before any other use. */
  noteContents(): void {
    this.birth?.noteContents()
    this.uses.clear()
    if (this.#home !== undefined) this.order.observer?.born(this.#home, this, this.address, this.byteLength)
  }

  /** The uses that must be over before the memory is freed. */
  #lastUses(): Use[] {
    const uses = this.uses.list()
    return uses.length === 0 && this.birth !== undefined ? [this.birth.use] : uses
  }

  protected override free(): void {
    const home = this.#home
    if (home !== undefined) this.order.captures.defer(() => this.#freeOrWarn(home))
  }

  #freeOrWarn(home: StreamState): void {
    if (this.order.closed) return
    try {
      const { deferredReleases } = this.order
      if (deferredReleases.areHeld(this.#lastUses())) deferredReleases.hold(() => this.#freeOrWarn(home))
      else this.#free(home)
    } catch (error) {
      if (error instanceof DeviceLostError) return
      this.order.replaceReaper()
      warnOnce("free", `Device memory could not be freed and is leaked: ${String(error)}`, "AUX_LEAK")
    }
  }

  #free(home: StreamState): void {
    const stream = this.#freeingStream(home) ?? this.#reaperBehindUses()
    // The mark is the free itself. A stream that is ordered after it may reuse the memory.
    this.order.driver.memory.free(this.address, stream.handle, { slot: stream.slot, tick: stream.tick + 1 })
    stream.advanceMemory()
    this.order.observer?.freed(stream, this, this.address, this.byteLength)
  }

  /** An own stream that already runs after every use, preferably the one that is likely to allocate again. */
  #freeingStream(home: StreamState): StreamState | undefined {
    if (this.#canFreeOn(home) && !this.order.isCapturedByOthers(home)) return home
    return this.uses.list().find((use) => this.#canFreeOn(use.stream))?.stream
  }

  #canFreeOn(stream: StreamState): boolean {
    return !stream.disposed && !stream.foreign && this.uses.isBefore(stream)
  }

  #reaperBehindUses(): StreamState {
    const { reaper } = this.order
    this.birth?.orderBefore(reaper)
    for (const use of this.uses.list()) if (!reaper.isAfter(use.stream.slot, use.tick)) reaper.waitFor(use.stream)
    return reaper
  }
}

/**
 * An address of memory in the order of a stream.
 *
 * @param user what will use the memory: the driver may choose memory whose free is ordered before it
 */
export function addressOn(stream: StreamState, byteLength: number, contentsFollow: boolean, user: Ordered): number {
  const { order } = stream
  const happensBefore = (mark: OrderMark) => user.isAfter(mark.slot, mark.tick)
  return order.allocate(() => order.driver.memory.allocate(byteLength, stream.handle, happensBefore, contentsFollow))
}

/** Memory of another library. */
class ForeignAllocation extends Allocation {
  override readonly isForeign = true
}

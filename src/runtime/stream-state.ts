import type { EventHandle, OrderMark, StreamHandle } from "../driver.js"
import type { Allocation } from "./allocation.js"
import { VectorClock } from "./clock.js"
import { DisposedError } from "./errors.js"
import type { DeviceOrder } from "./order.js"

/**
 * A stream below its public face: what allocations, events and forks hold on to, so that a forgotten
 * {@link Stream} can still be collected.
 */
export class StreamState {
  readonly order: DeviceOrder
  readonly handle: StreamHandle
  readonly name: string
  readonly slot: number
  readonly clock = new VectorClock()
  /** Another library's: never destroyed by us, and nothing is ever freed on it. */
  readonly foreign: boolean
  /** Others may queue here, too: each record counts as new work, and no wait is elided. */
  shared: boolean
  disposed = false
  /** The scratch memory of library calls here. */
  workspace: Allocation | undefined
  /** Behind the last of the stream's work, once it is disposed of. */
  end: EventHandle | undefined
  #tick: number
  #hostEpoch = 0

  constructor(order: DeviceOrder, handle: StreamHandle, name: string, foreign: boolean) {
    const { slot, tick } = order.slots.take()
    this.order = order
    this.handle = handle
    this.name = name
    this.foreign = foreign
    this.shared = foreign
    this.slot = slot
    this.#tick = tick
    this.clock.set(slot, tick)
  }

  /** Comes before everything that is queued: refuses a disposed stream, and takes in what the host knows. */
  enter(): void {
    if (this.disposed) throw new DisposedError(`${this.name} was disposed of; create another stream to queue work on`)
    if (this.#hostEpoch !== this.order.hostEpoch) this.#mergeHost()
  }

  #mergeHost(): void {
    this.clock.merge(this.order.hostClock)
    this.#hostEpoch = this.order.hostEpoch
  }

  /** Counts an operation that the driver accepted. */
  advance(): number {
    this.#tick += 1
    this.clock.set(this.slot, this.#tick)
    return this.#tick
  }

  get tick(): number {
    return this.#tick
  }

  /** This place in the stream's order. */
  mark(): OrderMark {
    return { slot: this.slot, tick: this.#tick }
  }

  /** Is all that the clock knows ordered before what is queued here next? */
  knows(clock: VectorClock): boolean {
    if (this.#hostEpoch !== this.order.hostEpoch) this.#mergeHost()
    return this.clock.coversAll(clock)
  }

  /** Is this tick of that stream ordered before what is queued here next? */
  isAfter(other: StreamState, tick: number): boolean {
    if (this.#hostEpoch !== this.order.hostEpoch) this.#mergeHost()
    return this.clock.covers(other.slot, tick)
  }

  /** Records an event here and gives it the clock. */
  record(event: EventHandle, clock: VectorClock): void {
    this.enter()
    this.order.driver.recordEvent(event, this.handle)
    if (this.shared) this.advance()
    clock.copyFrom(this.clock)
  }

  /** Waits for an event's record, unless the clock says that the wait would add nothing. */
  wait(event: EventHandle, clock: VectorClock, elidable: boolean): void {
    this.enter()
    if (elidable && !this.shared && this.clock.coversAll(clock)) return
    this.order.driver.waitEvent(this.handle, event)
    this.clock.merge(clock)
  }

  /** Makes what is queued here next run after all that is queued on `target` so far. */
  waitFor(target: StreamState): void {
    this.enter()
    const elidable = !this.shared && !target.shared
    if (elidable && this.clock.coversAll(target.clock)) return
    if (target.disposed) {
      if (target.end !== undefined) this.order.driver.waitEvent(this.handle, target.end)
      this.clock.merge(target.clock)
      return
    }
    const event = this.order.events.take()
    try {
      target.record(event, new VectorClock())
      this.wait(event, target.clock, elidable)
    } finally {
      this.order.events.give(event)
    }
  }
}

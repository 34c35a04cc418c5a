/**
 * The order of one stream's operations, as the program makes it. The library's own clocks may know more: from its queries,
 * from waits for memory, and because a new stream gets an old one's slot. A lane knows only what the program did.
 */
import { emptyClock, type VectorClock } from "../../runtime/clock/vector-clock.js"
import type { StreamState } from "../../runtime/order/stream-state.js"

/** A slot that no lane has. */
export const NONE = -1

/** A point in the order: everything in `clock`, and the lane's operations up to `tick`. */
export class Moment {
  #clock: VectorClock
  #slot: number
  #tick: number

  constructor(clock: VectorClock, slot: number, tick: number) {
    this.#clock = clock
    this.#slot = slot
    this.#tick = tick
  }

  get clock(): VectorClock {
    return this.#clock
  }

  get slot(): number {
    return this.#slot
  }

  get tick(): number {
    return this.#tick
  }

  /** Makes it another point. Only for the place of a record, which nobody else keeps. */
  set(clock: VectorClock, slot: number, tick: number): void {
    this.#clock = clock
    this.#slot = slot
    this.#tick = tick
  }

  /** The point after both. Each may know later operations of the other's lane than the other itself. */
  and(other: Moment): Moment {
    const clock = this.clock.with(this.slot, this.tick).join(NONE, other.clock, other.slot, other.tick)
    return new Moment(clock, NONE, 0)
  }

  /** Whether a clock knows all of it. */
  isBefore(clock: VectorClock): boolean {
    return clock.isAfter(this.slot, this.tick) && this.clock.isBefore(clock)
  }
}

/** A stream, or one lease of a pool stream, or a stream's part of a capture. */
export class Lane {
  readonly stream: StreamState
  /** Its entry in the clocks. */
  readonly slot: number
  /** The number of its first operation. */
  readonly first: number
  /** The number of its newest operation. */
  tick: number
  /** What the program ordered before its next operation, without its own operations. */
  clock = emptyClock
  /** Used by a sweep: whether an access of it is remembered. */
  isInUse = false

  constructor(stream: StreamState, slot: number, tick: number) {
    this.stream = stream
    this.slot = slot
    this.tick = tick
    this.first = tick + 1
  }

  /** The point after everything queued so far. */
  now(): Moment {
    return new Moment(this.clock, this.slot, this.tick)
  }

  /** Whether it is a point of this lane itself. */
  has({ slot, tick }: Moment): boolean {
    return slot === this.slot && tick >= this.first
  }

  /** Orders later operations after a point. */
  wait(moment: Moment): void {
    this.clock = this.clockAfter(moment)
  }

  /** The clock that a wait would make. */
  clockAfter({ clock, slot, tick }: Moment): VectorClock {
    return this.clock.next(this.slot, clock, slot, tick) ?? this.clock.join(this.slot, clock, slot, tick)
  }
}

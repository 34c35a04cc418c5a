import { TickTable } from "./tick-table.js"

/**
 * Happens-before, as vector clocks.
 *
 * Every stream of a device has a *slot*, and counts its operations in *ticks*. A clock holds, for each slot, the newest
 * tick that is known of; a stream's, what everything queued on it from now on runs after. `record` keeps the stream's
 * clock with the event, `wait` joins that to the waiting stream's, a synchronisation joins it to the host's, which
 * counts for every stream.
 *
 * A slot is given to a new stream once the host knows that all work of the old one is done. Ticks go on counting
 * there, so that a pair of slot and tick never names two operations.
 */

/** Something with a place in the streams' order: a clock, a record, the next operation of a stream. */
export interface Ordered {
  /** Whether the operation (slot, tick) happens before this. */
  isAfter(slot: number, tick: number): boolean
}

/** The slot of no stream, of which there is nothing to know. */
const NONE = -1

/**
 * What is known of the streams' order. It never changes, so that an event may keep it: a table that many clocks share,
 * and one entry newer than the table's. What two streams learn of each other by turns, in one fork-join after another,
 * is that entry, so that it costs the same however many streams there are.
 */
export class VectorClock implements Ordered {
  readonly #table: TickTable
  readonly #slot: number
  readonly #tick: number

  constructor(table: TickTable, slot: number, tick: number) {
    this.#table = table
    this.#slot = slot
    this.#tick = tick
  }

  isAfter(slot: number, tick: number): boolean {
    return (slot === this.#slot ? this.#tick : this.#table.get(slot)) >= tick
  }

  /**
   * Whether everything in this clock happens before `other`.
   *
   * @param known a clock that is before `other`. The parts that this clock shares with it are not compared.
   */
  isBefore(other: Ordered, known: VectorClock = emptyClock): boolean {
    if (this.#slot !== NONE && !other.isAfter(this.#slot, this.#tick)) return false
    return this.#table.every(known.#table, (slot, tick) => other.isAfter(slot, tick))
  }

  /** Calls back with what is known, but not with all that it has in common with clocks that were visited before. */
  visitNew(visited: WeakSet<TickTable>, visit: (slot: number, tick: number) => void): void {
    this.#table.visitNew(visited, visit)
    if (this.#slot !== NONE) visit(this.#slot, this.#tick)
  }

  /** The same, and everything up to this tick of this slot. */
  with(slot: number, tick: number): VectorClock {
    if (slot === NONE || this.isAfter(slot, tick)) return this
    const isFree = this.#slot === slot || this.#slot === NONE
    return new VectorClock(isFree ? this.#table : this.#table.with(this.#slot, this.#tick), slot, tick)
  }

  /**
   * What {@link join} gives, if that is the same table and a newer entry in place of the one there is: what two streams
   * tell each other by turns. Else undefined.
   */
  next(own: number, clock: VectorClock, slot: number, tick: number): VectorClock | undefined {
    const isNext = clock.#table === this.#table && clock.#slot === own && this.#slot === slot && this.#tick < tick
    return isNext ? new VectorClock(this.#table, slot, tick) : undefined
  }

  /**
   * The same, and what another stream is ordered behind: `clock`, and its own work up to `tick` of `slot`.
   *
   * @param own the slot of the stream that learns this, which needs not be told of itself
   */
  join(own: number, clock: VectorClock, slot: number, tick: number): VectorClock {
    let joined = new VectorClock(this.#table.union(clock.#table), NONE, 0)
    if (this.#slot !== own) joined = joined.with(this.#slot, this.#tick)
    if (clock.#slot !== own) joined = joined.with(clock.#slot, clock.#tick)
    return joined.with(slot, tick)
  }
}

/** Knows nothing. */
export const emptyClock = new VectorClock(new TickTable(), NONE, 0)

/** What the host has seen done. */
export class HostClock implements Ordered {
  readonly #ticks: number[] = []
  /** Parts of the clocks that it has learned: each is shared by many clocks, and needs to be learned once only. */
  readonly #learned = new WeakSet<TickTable>()

  isAfter(slot: number, tick: number): boolean {
    return (this.#ticks[slot] ?? 0) >= tick
  }

  /** Everything that the clock knows is done. */
  learn(clock: VectorClock): void {
    clock.visitNew(this.#learned, (slot, tick) => {
      while (this.#ticks.length <= slot) this.#ticks.push(0)
      if (!this.isAfter(slot, tick)) this.#ticks[slot] = tick
    })
  }
}

/** Gives out the slots of a device's clocks. */
export class ClockSlots {
  readonly #free: { slot: number; tick: number }[] = []
  #count = 0

  /** A slot, and the tick behind which its new stream counts on. */
  acquire(): { slot: number; tick: number } {
    return this.#free.pop() ?? { slot: this.#count++, tick: 0 }
  }

  /** Takes a slot back. The host's clock covers all of its ticks. */
  release(slot: number, tick: number): void {
    this.#free.push({ slot, tick })
  }
}

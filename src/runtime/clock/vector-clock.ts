import { TickTable } from "./tick-table.js"

/**
 * Happens-before, as vector clocks.
 *
 * Each stream of a device has a *slot* and counts its operations in *ticks*. A clock holds one tick for each slot. A
 * stream's clock holds the operations that happen before the stream's next operation. `record` stores the stream's clock in
 * the event. `wait` merges it into the waiting stream's clock. A synchronisation merges it into the host's clock, which
 * applies to all streams.
 *
 * A new stream gets the slot of an old one once the host knows that all work of the old one is done. Ticks continue to
 * count, so that (slot, tick) never names two operations.
 */

/** Something with a place in the streams' order: a clock, a record, the next operation of a stream. */
export interface Ordered {
  /** Whether the operation (slot, tick) happens before this. */
  isAfter(slot: number, tick: number): boolean
}

/** A slot that no stream has. */
const NONE = -1

/**
 * An immutable vector clock, so that an event may keep it. It is a table that many clocks share, and one entry that is
 * newer than the table's. In a series of fork-joins, only that entry changes, so a fork-join costs the same for any number
 * of streams.
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

  /** Calls `visit` for each entry. May skip entries that were visited for another clock with the same set `visited`. */
  visitNew(visited: WeakSet<TickTable>, visit: (slot: number, tick: number) => void): void {
    this.#table.visitNew(visited, visit)
    if (this.#slot !== NONE) visit(this.#slot, this.#tick)
  }

  /** This clock, with this tick for this slot if it is newer. */
  with(slot: number, tick: number): VectorClock {
    if (slot === NONE || this.isAfter(slot, tick)) return this
    const isFree = this.#slot === slot || this.#slot === NONE
    return new VectorClock(isFree ? this.#table : this.#table.with(this.#slot, this.#tick), slot, tick)
  }

  /**
   * A fast form of {@link join} for a series of fork-joins. Returns the result if it has the same table and only a newer
   * entry beside it, otherwise undefined.
   */
  next(own: number, clock: VectorClock, slot: number, tick: number): VectorClock | undefined {
    const isNext = clock.#table === this.#table && clock.#slot === own && this.#slot === slot && this.#tick < tick
    return isNext ? new VectorClock(this.#table, slot, tick) : undefined
  }

  /**
   * This clock merged with another stream's: with `clock`, and with that stream's own operations up to (slot, tick).
   *
   * @param own the slot of the stream that owns this clock. Its own entry is not needed
   */
  join(own: number, clock: VectorClock, slot: number, tick: number): VectorClock {
    let joined = new VectorClock(this.#table.union(clock.#table), NONE, 0)
    if (this.#slot !== own) joined = joined.with(this.#slot, this.#tick)
    if (clock.#slot !== own) joined = joined.with(clock.#slot, clock.#tick)
    return joined.with(slot, tick)
  }
}

/** The clock with no operations. */
export const emptyClock = new VectorClock(new TickTable(), NONE, 0)

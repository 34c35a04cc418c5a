/**
 * The places of records in the order that the program makes. They are kept with the records themselves, because events are
 * recorded again and again, and a look-up would cost more than the rest of a wait.
 */
import type { VectorClock } from "../../runtime/clock/vector-clock.js"
import type { RecordPoint } from "../../runtime/order/record-point.js"
import { Moment } from "./lane.js"

/** The place of the latest record of a point, for one sanitizer. */
class NotedMoment extends Moment {
  readonly owner: Moments

  constructor(owner: Moments, clock: VectorClock, slot: number, tick: number) {
    super(clock, slot, tick)
    this.owner = owner
  }
}

/** What one sanitizer knows of records. */
export class Moments {
  /** Of points that have the note of another observer. */
  readonly #others = new WeakMap<RecordPoint, Moment>()
  #isOver = false

  set(point: RecordPoint, clock: VectorClock, slot: number, tick: number): void {
    const { note } = point
    if (note instanceof NotedMoment && note.owner === this) note.set(clock, slot, tick)
    else if (isFree(note)) point.note = new NotedMoment(this, clock, slot, tick)
    else this.#others.set(point, new Moment(clock, slot, tick))
  }

  /** Undefined if the point was recorded before the sanitizer started. The next record changes it. */
  get(point: RecordPoint): Moment | undefined {
    const { note } = point
    return note instanceof NotedMoment && note.owner === this ? note : this.#others.get(point)
  }

  /** The sanitizer is over, so that a later one may replace its notes. */
  end(): void {
    this.#isOver = true
  }

  get isOver(): boolean {
    return this.#isOver
  }
}

function isFree(note: object | undefined): boolean {
  return note === undefined || (note instanceof NotedMoment && note.owner.isOver)
}

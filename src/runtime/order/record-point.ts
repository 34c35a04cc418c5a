import type { CaptureLink, Dependency } from "./capture.js"
import { type Ordered, emptyClock, type VectorClock } from "../clock/vector-clock.js"

/** The point of an event's latest record: everything that happens before it. */
export class RecordPoint implements Ordered {
  /** The clock of the recording stream, without the stream's own operations. */
  clock = emptyClock
  /** The recording stream's slot, and the tick of its latest operation. */
  slot = 0
  tick = 0
  /** Whether the event has been recorded. */
  isRecorded = false
  /** Whether the event's handle has been read, so that other code may record it or wait for it. */
  isExposed = false
  /** Whether it was recorded on a shared stream, where other code may have queued more. */
  isOnShared = false
  /** The capture of this library in which it was recorded, if any. */
  capture: CaptureLink | undefined
  /**
   * Whether it was recorded in a foreign capture. Then it is a node of another graph, and a wait for it teaches clocks
   * nothing.
   */
  isInForeignCapture = false
  /** In a capture, the nodes that run directly before it. */
  dependencies: readonly Dependency[] = []
  /** What an observer notes of the record. An observer must leave the note of another one alone. */
  note: object | undefined

  /** Sets the point of a record outside captures. */
  set(clock: VectorClock, slot: number, tick: number, isOnShared: boolean): void {
    this.clock = clock
    this.slot = slot
    this.tick = tick
    this.isRecorded = true
    this.isOnShared = isOnShared
    this.isInForeignCapture = false
    this.capture = undefined
  }

  /** The clock with everything that happens before the record. */
  get wholeClock(): VectorClock {
    return this.clock.with(this.slot, this.tick)
  }

  isAfter(slot: number, tick: number): boolean {
    return slot === this.slot ? tick <= this.tick : this.clock.isAfter(slot, tick)
  }

  /** Whether this record, with everything before it, happens before `other`. */
  isBefore(other: Ordered): boolean {
    return other.isAfter(this.slot, this.tick) && this.clock.isBefore(other)
  }

  /** A copy that stays when the event is recorded again. */
  copy(): RecordPoint {
    const copy = new RecordPoint()
    copy.set(this.clock, this.slot, this.tick, this.isOnShared)
    copy.isRecorded = this.isRecorded
    copy.isInForeignCapture = this.isInForeignCapture
    return copy
  }

  /** The same place in a capture, without a clock. */
  withoutClock(): RecordPoint {
    if (this.capture === undefined) return nowhere
    const point = new RecordPoint()
    point.capture = this.capture
    point.dependencies = this.dependencies
    return point
  }
}

/** The point of a record of which nothing is known. It says nothing about order, and must never be changed. */
export const nowhere = new RecordPoint()

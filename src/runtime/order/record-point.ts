import type { CaptureLink, Dependency } from "./capture.js"
import { type Ordered, emptyClock, type VectorClock } from "./clock.js"

/** What an event's latest record stands for. */
export class RecordPoint implements Ordered {
  /** What the stream that it was recorded on was ordered behind, but for its own work. */
  clock = emptyClock
  /** That: up to which tick, of which slot. */
  slot = 0
  tick = 0
  /** Is there a record at all? */
  isRecorded = false
  /** Was it on a stream where others may have queued behind it? */
  isOnShared = false
  /** Our own capture that it was recorded in. */
  capture: CaptureLink | undefined
  /** Was it in another library's capture? Then it is a node of their graph: to wait for it tells nothing of our order. */
  isInForeignCapture = false
  /** The nodes of that capture's graph that it is directly behind. */
  dependencies: readonly Dependency[] = []

  /** Stands for a record outside captures. */
  set(clock: VectorClock, slot: number, tick: number, isOnShared: boolean): void {
    this.clock = clock
    this.slot = slot
    this.tick = tick
    this.isRecorded = true
    this.isOnShared = isOnShared
    this.isInForeignCapture = false
    this.capture = undefined
  }

  /** All that it is ordered behind. */
  get wholeClock(): VectorClock {
    return this.clock.with(this.slot, this.tick)
  }

  isAfter(slot: number, tick: number): boolean {
    return slot === this.slot ? tick <= this.tick : this.clock.isAfter(slot, tick)
  }

  /** Is everything that it is ordered behind ordered before there, too? */
  isBefore(other: Ordered): boolean {
    return other.isAfter(this.slot, this.tick) && this.clock.isBefore(other)
  }

  /** The same place in a capture, without what it is ordered behind. */
  withoutClock(): RecordPoint {
    const point = new RecordPoint()
    point.capture = this.capture
    point.dependencies = this.dependencies
    return point
  }
}

import type { Capture } from "./capture.js"
import { VectorClock } from "./clock.js"
import type { Tip } from "./graph-plan.js"

/** What an event's latest record stands for. */
export class RecordPoint {
  /** What the point is ordered behind. */
  readonly clock = new VectorClock()
  /** The capture that it was recorded in. */
  capture: Capture | undefined
  /** The nodes of that capture's graph that it is directly behind. */
  tips: readonly Tip[] = []

  /** The same place in a capture, without what it is ordered behind. */
  withoutClock(): RecordPoint {
    const point = new RecordPoint()
    point.capture = this.capture
    point.tips = this.tips
    return point
  }

  /** A point of its own that stands for the same record. */
  copy(): RecordPoint {
    const copy = new RecordPoint()
    copy.clock.copyFrom(this.clock)
    copy.capture = this.capture
    copy.tips = this.tips
    return copy
  }
}

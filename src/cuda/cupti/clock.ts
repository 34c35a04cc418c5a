/** Converts CUPTI's time stamps, nanoseconds of a clock of its own, into milliseconds of the host's clock. */
import { sharedNow } from "../../common/timers.js"
import type { CuptiLibrary } from "./cupti.js"
import { between, type TimeStamp } from "./time-stamp.js"

/** The same moment on both clocks. */
interface Moment extends TimeStamp {
  readonly host: number
}

const TRIES = 16
const NANOSECONDS = 1e6

/** Must be told about the clocks now and then ({@link synchronize}), because they drift apart. */
export class CuptiClock {
  readonly #cupti: CuptiLibrary
  readonly #first: Moment
  #last: Moment

  constructor(cupti: CuptiLibrary) {
    this.#cupti = cupti
    this.#first = this.#now()
    this.#last = this.#first
  }

  synchronize(): void {
    this.#last = this.#now()
  }

  /** The host's time of a time stamp. */
  hostTime(time: TimeStamp): number {
    const since = between(this.#first, time)
    const passed = between(this.#first, this.#last)
    const rate = passed > 0 ? (this.#last.host - this.#first.host) / passed : 1 / NANOSECONDS
    return this.#first.host + since * rate
  }

  /** Compares the clocks several times, and keeps the comparison that took least time. */
  #now(): Moment {
    let least = Infinity
    let best: Moment = { host: 0, high: 0, low: 0 }
    for (let i = 0; i < TRIES; i++) {
      const before = sharedNow()
      const { low, high } = this.#cupti.timestamp()
      const after = sharedNow()
      if (after - before >= least) continue
      least = after - before
      best = { host: (before + after) / 2, low, high }
    }
    return best
  }
}

/** Tells a process that waits for nothing from one on a slow or busy machine. */
import process from "node:process"
import { now } from "../../common/timers.js"

/** A process that uses a larger share of one core than this is not standing still: looking for dead workers uses less. */
const SHARE = 0.05

/** The milliseconds of processor time that all threads of this process have used. */
function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Watches how much processor time this process uses, from the first question on. It must be asked often. */
export class Standstill {
  readonly #clock: () => number
  readonly #processorTime: () => number
  readonly #begin: number
  #since: number
  #asked: number
  #used: number

  constructor(clock = now, used = processorTime) {
    this.#clock = clock
    this.#processorTime = used
    this.#begin = this.#since = this.#asked = clock()
    this.#used = used()
  }

  /** Whether the process has done nothing for `least` milliseconds, or `most` have passed whatever it has done. */
  hasLasted(least: number, most: number): boolean {
    const time = this.#clock()
    const used = this.#processorTime()
    if (used - this.#used > SHARE * (time - this.#asked)) this.#since = time
    this.#asked = time
    this.#used = used
    return time - this.#since >= least || time - this.#begin >= most
  }
}

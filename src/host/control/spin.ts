import { now } from "../../common/timers.js"

/** How long a worker spins while spinning pays, in milliseconds: about as long as a sleeping core takes to wake. */
const PATIENCE = 0.05
/**
 * The same for the opening thread, which may wait for sleeping workers: they must wake first, and then run. This needs a
 * third core. With two, the spinning thread would take the core of one of a fork-join's two workers.
 */
export const LONG_PATIENCE = 0.15
/** Below this, spinning is given up: reading the clock would cost more than it gains. */
const LEAST_PATIENCE = 0.005
/** How long a trial spins. It is longer because the other thread may have to wake, and to learn to spin, too. */
const TRIAL = 0.2
/** The number of waits between two trials, at first and at most. */
const FIRST_GAP = 16
const LAST_GAP = 128
const LOOKS_PER_CLOCK = 16

/**
 * Waits for a short time without sleeping, and learns whether that pays. If the other thread has no core of its own, or
 * nothing to do, spinning only delays it. Then this class rarely tries.
 */
export class Spinner {
  #patience: number
  #waits = 0
  #gap = FIRST_GAP
  readonly #most: number

  /** @param most how long it spins while that pays, in milliseconds */
  constructor(most = PATIENCE) {
    this.#most = most
    this.#patience = most
  }

  /** @returns whether the condition came true */
  spin(isTrue: () => boolean): boolean {
    const isTrial = this.#patience === 0 && ++this.#waits >= this.#gap
    const limit = isTrial ? TRIAL : this.#patience
    if (limit === 0) return isTrue()
    const succeeded = watch(isTrue, limit)
    if (succeeded) this.#patience = this.#most
    else this.#patience = this.#patience > LEAST_PATIENCE ? this.#patience / 2 : 0
    if (succeeded) this.#gap = FIRST_GAP
    else if (isTrial) this.#gap = Math.min(LAST_GAP, this.#gap * 2)
    if (isTrial) this.#waits = 0
    return succeeded
  }
}

function watch(isTrue: () => boolean, time: number): boolean {
  const end = now() + time
  do {
    for (let look = 0; look < LOOKS_PER_CLOCK; look++) if (isTrue()) return true
  } while (now() < end)
  return false
}

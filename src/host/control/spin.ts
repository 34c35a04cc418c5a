import { now } from "../../common/timers.js"

/** How long a worker spins while that pays, in milliseconds: about what a sleeping core takes to wake. */
const PATIENCE = 0.05
/**
 * The same for the thread that waits for workers which sleep: they have to wake and to run first. Only with a core more
 * than the two that a fork-join's workers need, or the spinning thread keeps one of them from running.
 */
export const LONG_PATIENCE = 0.15
/** Below this a spin is not worth reading the clock for. */
const LEAST_PATIENCE = 0.005
/** How long a trial is: the other thread may have to wake first, and find out that it pays for it, too. */
const TRIAL = 0.2
/** So many waits are between two trials, at first and at most. */
const FIRST_GAP = 16
const LAST_GAP = 128
const LOOKS_PER_CLOCK = 16

/**
 * Waits for a short time without sleeping, and learns for how long that pays: where the other thread has no core of its
 * own, or nothing to do, spinning only holds it up. Then it is hardly ever tried.
 */
export class Spinner {
  private patience: number
  private waits = 0
  private gap = FIRST_GAP

  /** @param most how long it spins while that pays, in milliseconds */
  constructor(private readonly most = PATIENCE) {
    this.patience = most
  }

  /** @returns whether it has come true */
  spin(isTrue: () => boolean): boolean {
    const isTrial = this.patience === 0 && ++this.waits >= this.gap
    const limit = isTrial ? TRIAL : this.patience
    if (limit === 0) return isTrue()
    const succeeded = watch(isTrue, limit)
    if (succeeded) this.patience = this.most
    else this.patience = this.patience > LEAST_PATIENCE ? this.patience / 2 : 0
    if (succeeded) this.gap = FIRST_GAP
    else if (isTrial) this.gap = Math.min(LAST_GAP, this.gap * 2)
    if (isTrial) this.waits = 0
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

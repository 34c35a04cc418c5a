/** The bounds of a spin, in milliseconds. A sleeping core takes up to 60 microseconds to wake: longer pays rarely. */
const LONGEST = 0.05
const SHORTEST = 0.005
/** One spin of so many is as long as can be, whatever the latest experience. */
const TRIAL = 16
const LOOKS_PER_CLOCK = 16

/**
 * Waits for a short time without sleeping, and learns for how long that pays: where the other thread has no core of its
 * own, or nothing to do, spinning only holds it up.
 */
export class Spinner {
  private limit = LONGEST
  private failures = 0

  /** @returns whether it has come true */
  spin(isTrue: () => boolean): boolean {
    const limit = this.failures % TRIAL === 0 ? LONGEST : this.limit
    const end = performance.now() + limit
    do {
      for (let look = 0; look < LOOKS_PER_CLOCK; look++) {
        if (isTrue()) {
          this.limit = LONGEST
          this.failures = 0
          return true
        }
      }
    } while (performance.now() < end)
    this.failures++
    this.limit = Math.max(SHORTEST, this.limit / 2)
    return false
  }
}

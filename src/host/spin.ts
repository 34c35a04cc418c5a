/** How long a thread looks before it sleeps, in milliseconds: a sleeping core takes some 60 microseconds to wake. */
const LIMIT = 0.05
const LOOKS_PER_CLOCK = 32

/** Waits for a short time, without sleeping. @returns whether it has come true */
export function spin(isTrue: () => boolean): boolean {
  const end = performance.now() + LIMIT
  do {
    for (let look = 0; look < LOOKS_PER_CLOCK; look++) if (isTrue()) return true
  } while (performance.now() < end)
  return false
}

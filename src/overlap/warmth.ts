/**
 * Counts the fork-joins of this thread that ask a policy. JavaScript that has run a few hundred times only is several
 * times slower than later, so what was decided before the 1 000th fork-join is measured again once.
 */

/** From this fork-join on, the thread's code counts as warm. */
const WARM = 1000

let count = 0
const policies = new Set<() => void>()

/** Counts a fork-join. */
export function countForkJoin(): void {
  if (++count !== WARM) return
  for (const measureAgain of policies) measureAgain()
  policies.clear()
}

/** Whether a decision made now must be made again later. */
export function isEarly(): boolean {
  return count < WARM
}

/** Calls a function once at the 1 000th fork-join. */
export function onceWarm(measureAgain: () => void): void {
  if (isEarly()) policies.add(measureAgain)
}

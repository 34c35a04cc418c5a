/** How many times as many random cases are tried as by default. */
const factor = Number(process.env["AUXSTREAM_RANDOM_RUNS"] ?? 1)
/** Milliseconds for the default number of cases. */
const limit = 60_000

/** The parameters of a random test that tries `count` cases by default. */
export function randomRuns(count: number): { readonly numRuns: number } {
  return { numRuns: count * factor }
}

/**
 * Tells whether a random test that begins now has taken too long. Its function must then do nothing, so that a slow machine
 * tries fewer cases. A failing case is also made smaller for that time only, because races do not always recur.
 */
export function lateness(): () => boolean {
  const end = performance.now() + limit * factor
  return () => performance.now() > end
}

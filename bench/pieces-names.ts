/** The pairs of pieces that `pieces.ts` and `gpu/pieces.ts` measure, and the names of their rows, which the pictures look up. */

/** The lengths of two pieces in microseconds, the longer one first. */
export type Pair = readonly [longer: number, shorter: number]

/** The lengths of equal pieces, in microseconds. */
export const equalLengths = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000] as const

/** The longer piece of unequal ones, in microseconds: one near the break-even, and one far beyond it. */
export const unequalLengths = [50, 1000] as const

/** The longer piece takes this many times the time of the shorter one. */
export const ratios = [1, 2, 4, 8] as const

export const unequal = (longer: number, times: number): Pair => [longer, longer / times]

/** All pairs, each once. */
export const pairs: readonly Pair[] = [
  ...equalLengths.map((length): Pair => [length, length]),
  ...unequalLengths.flatMap((longer) => ratios.slice(1).map((times) => unequal(longer, times))),
]

export const modes = ["eager", "graph"] as const
export const ways = ["in sequence", "side by side"] as const

export const nameOfPair = ([longer, shorter]: Pair): string => `${longer} µs and ${shorter} µs`

export const rowName = (pair: Pair, mode: (typeof modes)[number], way: (typeof ways)[number]): string =>
  `${nameOfPair(pair)}, ${mode}, ${way}`

/** The figure of how much of the machine other processes took during a pair, in percent. */
export const takenByOthers = (pair: Pair): string => `${nameOfPair(pair)}: taken by other processes`

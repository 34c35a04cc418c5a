/** The names of the rows of `pieces.ts`, which the pictures look up. */

import { type modes, type Pair, pairs } from "../pieces-names.js"

/** Longer pieces take time and show nothing new. */
export const gpuPairs: readonly Pair[] = pairs.filter(([longer]) => longer <= 2000)

/** pieces:LONGER:SHORTER:MODE:WAY, with lengths in microseconds. */
export const gpuRow = (pair: Pair, mode: (typeof modes)[number], way: "sequential" | "parallel"): string =>
  `pieces:${pair.join(":")}:${mode}:${way}`

/** How many blocks each of two kernels has, in percent of those that the GPU can run at a time. */
export const shares = [12.5, 25, 50, 75, 100, 200] as const

/** share:PERCENT:WAY */
export const shareRow = (percent: number, way: "sequential" | "parallel"): string => `share:${percent}:${way}`

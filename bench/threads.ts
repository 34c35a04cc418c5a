import { availableParallelism } from "node:os"

/** How many threads everybody gets: one for each core, two at least. */
export const threads = Math.max(2, availableParallelism())

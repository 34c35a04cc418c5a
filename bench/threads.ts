import { availableParallelism } from "node:os"

/** The number of threads of each contender: one for each core, at least two. */
export const threads = Math.max(2, availableParallelism())

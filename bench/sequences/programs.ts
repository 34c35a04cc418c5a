import { blackScholesOptions } from "./black-scholes.js"
import { deepLearning } from "./deep-learning.js"
import { ensemble } from "./ensemble.js"
import { hits } from "./hits.js"
import { imagePipeline } from "./image-pipeline.js"
import type { Program } from "./program.js"
import { vectorSquares } from "./vector-squares.js"

/** A program with the sizes at which it is measured. Tests need only the smallest. */
export interface Sized {
  readonly program: Program
  readonly sizes: Readonly<Record<"smallest" | "host" | "cuda", number>>
}

/** The six programs. On CUDA, their sizes are those of GrCUDA's evaluation in order of magnitude. */
export const programs: readonly Sized[] = [
  { program: vectorSquares, sizes: { smallest: 1000, host: 2_000_000, cuda: 20_000_000 } },
  { program: blackScholesOptions, sizes: { smallest: 100, host: 20_000, cuda: 2_000_000 } },
  { program: imagePipeline, sizes: { smallest: 32, host: 400, cuda: 1600 } },
  { program: ensemble, sizes: { smallest: 20, host: 2000, cuda: 200_000 } },
  { program: hits, sizes: { smallest: 100, host: 100_000, cuda: 2_000_000 } },
  { program: deepLearning, sizes: { smallest: 16, host: 80, cuda: 1600 } },
]

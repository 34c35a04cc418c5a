/** Measures the calling thread's time for matrix products, beside C++ with cuBLASLt and cublasGemmEx, and PyTorch. */

import { measureInto } from "./calls.js"
import { ours } from "./peers.js"
import type { RowPlan } from "./rounds.js"
import type { Part } from "./run.js"

/** The products of small batches: rows, columns, shared dimension, and how many in a batch. */
export const productShapes = [
  { m: 1, n: 2816, k: 2048, count: 1 },
  { m: 1, n: 2048, k: 1408, count: 6 },
  { m: 32, n: 64, k: 4096, count: 1 },
  { m: 32, n: 11008, k: 64, count: 1 },
  { m: 32, n: 11008, k: 4096, count: 1 },
  { m: 256, n: 2048, k: 2048, count: 1 },
] as const

/** The experts of a layer at one token and at four, with a row each. */
export const groupShapes = [
  { experts: 6, n: 2816, k: 2048 },
  { experts: 24, n: 2816, k: 2048 },
] as const

const plan = (row: string, by?: string): RowPlan => ({
  ...{ row, batches: 7, operations: 50, warmUp: 7 },
  ...(by === undefined ? {} : { by }),
})

export const productCalls: Part = {
  name: "product-calls",
  least: 30,
  async run(run) {
    const { present } = await run.peers()
    const peers = present.filter(({ name }) => [ours, "C++", "PyTorch"].includes(name))
    for (const { m, n, k, count } of productShapes) {
      const sizes = `${m}:${n}:${k}:${count}`
      await measureInto(run, peers, [plan(`product:${sizes}`), plan(`product-gemm:${sizes}`, "C++")])
    }
    for (const { experts, n, k } of groupShapes) await measureInto(run, peers, [plan(`grouped:${experts}:${n}:${k}`)])
    return {}
  },
}

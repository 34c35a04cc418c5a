/** The measured kernels, from the same source that the peers load. */

import { readFileSync } from "node:fs"
import { defineKernel } from "auxstream"

/** A file of kernels, by its name. */
export const sourceOf = (name: string) => ({
  source: readFileSync(new URL(`../peers/${name}`, import.meta.url), "utf8"),
})

const cuda = sourceOf("kernels.cu")

/** One block of one thread. */
export const once = { grid: 1, block: 1 } as const

/** One thread for each element. */
export const over = (count: number) => ({ grid: Math.ceil(count / 256), block: 256 })

/** A block for each row. */
export const rowsOf = (rows: number) => ({ grid: rows, block: 256 })

export const touch = defineKernel({
  name: "bench_touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda,
})

export const spin = defineKernel({ name: "bench_spin", signature: ["int32"], cuda })

/** Occupies its blocks' multiprocessors for this many nanoseconds. */
export const spinFor = defineKernel({ name: "bench_spin_for", signature: ["int32"], cuda })

export const random = defineKernel({
  name: "bench_random",
  signature: ["uint32", "uint32", "float32", "out bfloat16*"],
  cuda,
})

export const gather = defineKernel({
  name: "bench_gather",
  signature: ["int32", "in int32*", "in bfloat16*", "out bfloat16*"],
  cuda,
})

export const siluMul = defineKernel({
  name: "bench_silu_mul",
  signature: ["int32", "int32", "in bfloat16*", "out bfloat16*"],
  cuda,
})

export const combine = defineKernel({
  name: "bench_combine",
  signature: ["int32", "int32", "in int32*", "in float32*", "in bfloat16*", "out bfloat16*"],
  cuda,
})

export const add = defineKernel({ name: "bench_add", signature: ["int32", "in bfloat16*", "inout bfloat16*"], cuda })

export const rmsNorm = defineKernel({
  name: "bench_rms_norm",
  signature: ["int32", "float32", "in bfloat16*", "in bfloat16*", "out bfloat16*"],
  cuda,
})

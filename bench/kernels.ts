/** The measured kernels: almost empty, or only taking time. */

import { defineKernel } from "auxstream"

const host = { module: new URL("host-kernels.js", import.meta.url) }

/** One block of one thread, for all these kernels. */
export const once = { grid: 1, block: 1 } as const

/** Adds one to a number. */
export const increment = defineKernel({ name: "increment", signature: ["inout int32*"], host })

/** An almost empty kernel with four arguments. */
export const touch = defineKernel({
  name: "touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  host,
})

/** Spins for this many milliseconds, like a kernel that has its own cores. */
export const spinFor = defineKernel({ name: "spinFor", signature: ["float64"], host })

/** Does this many steps of work that needs a core: two on one core take twice as long. */
export const work = defineKernel({ name: "work", signature: ["int32", "inout float64*"], host })

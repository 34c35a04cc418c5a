/** The kernels that are measured. They do next to nothing, or nothing but take time. */

import { defineKernel } from "auxstream"

const host = { module: new URL("host-kernels.js", import.meta.url) }

/** One block of one thread: what these kernels are launched with. */
export const once = { grid: 1, block: 1 } as const

/** Adds one to a number. */
export const increment = defineKernel({ name: "increment", signature: ["inout int32*"], host })

/** Takes four arguments and does next to nothing with them. */
export const touch = defineKernel({
  name: "touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  host,
})

/** Spins until so many milliseconds have passed: what a kernel on cores of its own would take. */
export const spinFor = defineKernel({ name: "spinFor", signature: ["float64"], host })

/** Does so many steps of work that needs a core: two on one core take twice as long. */
export const work = defineKernel({ name: "work", signature: ["int32", "inout float64*"], host })

/** Measures the overlap of real pairs of branches, beside PyTorch and CuPy on the same shapes. */

import { measureInto } from "./calls.js"
import { ours } from "./peers.js"
import type { Part } from "./run.js"

/** A branch alone, both in sequence, both side by side. */
export const ways = ["main", "aux", "sequential", "parallel"] as const
export const modes = ["eager", "captured"] as const

/** The sizes of each workload. See ours/expert-vectors.ts, ours/expert-products.ts and ours/projections.ts. */
export const workloadSizes = {
  experts: [1, 4, 16, 64, 256, 1024, 4096],
  /** The products that our own kernels for a few tokens replace. */
  "experts-cublas": [1, 4],
  norms: [1, 32, 64, 160],
  lora: [16, 64],
} as const
export type WorkloadName = keyof typeof workloadSizes

/** Which peers measure which workload. */
const measuredBy: Readonly<Record<WorkloadName, readonly string[]>> = {
  experts: [ours, "C++", "PyTorch"],
  "experts-cublas": [ours],
  norms: [ours, "C++", "PyTorch", "CuPy"],
  lora: [ours, "PyTorch"],
}

const workload = (name: WorkloadName): Part => ({
  name,
  least: 45,
  async run(run) {
    const { present } = await run.peers()
    const peers = present.filter((peer) => measuredBy[name].includes(peer.name))
    for (const size of run.settings.quick ? workloadSizes[name].slice(0, 1) : workloadSizes[name]) {
      for (const mode of modes) {
        const batches = size <= 160 ? 5 : 3
        const plans = ways.map((way) => ({ row: `${name}:${size}:${mode}:${way}`, batches, operations: 1, warmUp: 1 }))
        await measureInto(run, peers, plans)
      }
    }
    return {}
  },
})

export const experts = workload("experts")
export const expertsByCublas = workload("experts-cublas")
export const norms = workload("norms")
export const lora = workload("lora")

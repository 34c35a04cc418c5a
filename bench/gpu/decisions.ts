/** Whether a policy finds the faster way of captured workloads. Only ours, because no other library decides. */

import { ours } from "./peers.js"
import type { Part } from "./run.js"
import type { WorkloadName } from "./workloads.js"

/** The rows of the table of real uses: expert layers, norms, and low-rank additions. */
export const decisionSizes = {
  experts: [1, 4, 16, 64, 256, 1024, 4096],
  norms: [1, 32, 64, 160],
  lora: [16, 64],
} as const satisfies Partial<Record<WorkloadName, readonly number[]>>

/** The figures of one workload. Times are microseconds for the whole graph. */
export type DecisionFacts = Readonly<Record<string, number>>

export const decisionName = (workload: string, size: number): string => `${workload} ${size}`

/** The share of decisions that must be for the faster way, if there is one. */
export const goals = { right: 0.95 } as const

export const decisions: Part = {
  name: "decisions",
  least: 45,
  async run(run) {
    const { present } = await run.peers()
    const peer = present.find(({ name }) => name === ours)
    if (peer === undefined) throw new Error(`${ours} did not start`)
    const facts: Record<string, DecisionFacts | { readonly reason: string }> = {}
    for (const [workload, sizes] of Object.entries(decisionSizes)) {
      for (const size of run.settings.quick ? sizes.slice(0, 1) : sizes) {
        const effort = run.settings.quick ? "2:0" : "100:3"
        const answer = await peer.ask(`decision:${workload}:${size}:${effort}`, 1, 1, 60)
        facts[decisionName(workload, size)] = "reason" in answer ? answer : firstOf(answer.figures)
      }
    }
    return facts
  },
}

function firstOf(figures: Readonly<Record<string, readonly number[]>>): DecisionFacts {
  return Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, values[0] ?? NaN]))
}

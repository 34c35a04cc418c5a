/** Whether a policy finds the faster way of eager workloads, and is as good as it afterwards. Only ours decides. */

import { decisionSizes } from "./decisions.js"
import { ours } from "./peers.js"
import type { Part } from "./run.js"

/** Of the decisions about one workload, this share must be for the faster way; and a later call may lose one of these. */
export const policyGoals = { right: 0.95, lossRelative: 0.02, lossMicroseconds: 0.5 } as const

export const policyName = (workload: string, size: number): string => `${workload} ${size}`

export const policies: Part = {
  name: "policies",
  least: 60,
  async run(run) {
    const { present } = await run.peers()
    const peer = present.find(({ name }) => name === ours)
    if (peer === undefined) throw new Error(`${ours} did not start`)
    const facts: Record<string, unknown> = {}
    for (const [workload, sizes] of Object.entries(decisionSizes)) {
      for (const size of run.settings.quick ? sizes.slice(0, 1) : sizes) {
        const effort = run.settings.quick ? "3:64:0" : "100:1000:4"
        const answer = await peer.ask(`policy:${workload}:${size}:${effort}`, 1, 1, 60)
        facts[policyName(workload, size)] = "reason" in answer ? answer : firstOf(answer.figures)
      }
    }
    return facts
  },
}

function firstOf(figures: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, values[0] ?? NaN]))
}

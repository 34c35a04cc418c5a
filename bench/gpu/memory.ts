/** Checks that memory use stays flat. */

import { fileURLToPath } from "node:url"
import { ours } from "./peers.js"
import { runProgram, tail } from "./programs.js"
import type { Part } from "./run.js"

const disposalsProgram = fileURLToPath(new URL("ours/disposals.js", import.meta.url))

export const memory: Part = {
  name: "memory",
  least: 40,
  async run(run) {
    const { present } = await run.peers()
    const us = present.find(({ name }) => name === ours)
    if (us === undefined) throw new Error("auxstream is not there")
    const scale = run.settings.quick ? 0.01 : 1
    const found: Record<string, unknown> = {}
    for (const [row, operations] of [
      ["many-fork-joins", 1_000_000 * scale],
      ["many-lifetimes", 100_000 * scale],
      ["many-graph-launches", 100_000 * scale],
      ["many-captures", 10_000 * scale],
    ] as const) {
      const answer = await us.ask(row, 1, operations, Math.min(60, run.secondsLeft - 10))
      found[row] = "figures" in answer ? firstOf(answer.figures) : answer.reason
    }
    const ended = await runProgram(process.execPath, [disposalsProgram], { seconds: 60 })
    found["disposals"] = ended.status === 0 ? (JSON.parse(ended.output) as unknown) : tail(ended.output)
    return found
  },
}

const firstOf = (figures: Readonly<Record<string, readonly number[]>>) =>
  Object.fromEntries(Object.entries(figures).map(([name, [value]]) => [name, value]))

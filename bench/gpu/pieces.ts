/**
 * From which length on overlap pays, and how much of the GPU a kernel may fill: kernels that take a given time by the GPU's
 * clock. Only ours, because the question is about the GPU, not about libraries.
 */

import { modes } from "../pieces-names.js"
import { measureInto } from "./calls.js"
import { ours } from "./peers.js"
import { gpuPairs, gpuRow, shareRow, shares } from "./pieces-names.js"
import type { Part } from "./run.js"

const ways = ["sequential", "parallel"] as const

export const pieces: Part = {
  name: "pieces",
  least: 30,
  async run(run) {
    const { present } = await run.peers()
    const peers = present.filter(({ name }) => name === ours)
    const measured = run.settings.quick ? gpuPairs.slice(0, 1) : gpuPairs
    for (const pair of measured) {
      const rows = modes.flatMap((mode) => ways.map((way) => gpuRow(pair, mode, way)))
      await measureInto(run, peers, rows.map(planOf))
    }
    for (const share of shares)
      await measureInto(
        run,
        peers,
        ways.map((way) => planOf(shareRow(share, way))),
      )
    return {}
  },
}

const planOf = (row: string) => ({ row, batches: 3, operations: 1, warmUp: 1 })

/** What calls cost, beside the same calls of others. */

import { ours, type PeerName } from "./peers.js"
import { measure, type RowPlan } from "./rounds.js"
import type { Part, Run } from "./run.js"

/** Rows that are measured in turns with each other. */
interface Group {
  readonly rows: readonly RowPlan[]
  /** Everybody unless given. */
  readonly by?: PeerName
}

const rows = (batches: number, operations: number, ...names: string[]): RowPlan[] =>
  names.map((row) => ({ row, batches, operations }))

/** No batch queues more than the driver takes without waiting. */
const groups: readonly Group[] = [
  { rows: rows(7, 100, "launch", "two-launches", "four-calls", "fork-join", "graph-launch") },
  { rows: rows(7, 100, "fork-join-empty"), by: ours },
  { rows: rows(7, 20_000, "two-functions", "null-aux", "async-local-storage"), by: ours },
  { rows: rows(7, 30, "fork-join-done", "graph-done") },
  { rows: rows(3, 5, "spin-one:1000", "spin-both:1000") },
  { rows: rows(5, 4, "end:50", "end:100", "end:500", "end:5000") },
  { rows: rows(5, 4, "end-blocking:50", "end-blocking:500", "end-blocking:5000"), by: "C++" },
]

export const calls: Part = {
  name: "calls",
  least: 60,
  async run(run) {
    const { present } = await run.peers()
    for (const { rows, by } of groups) {
      const asked = by === undefined ? present : present.filter(({ name }) => name === by)
      await measureInto(run, asked, rows)
    }
    return { versions: Object.fromEntries(present.map(({ name, versions }) => [name, versions])) }
  },
}

/** Measures rows and puts what is found into the run's report. */
export async function measureInto(
  run: Run,
  peers: Parameters<typeof measure>[0],
  plans: readonly RowPlan[],
  reserve = 10,
): Promise<void> {
  const scaled = run.settings.quick ? plans.map(({ row }) => ({ row, batches: 1, operations: 2 })) : plans
  const { measured, missing } = await measure(peers, scaled, run.settings.rounds, () => run.secondsLeft > reserve)
  run.measured.push(...measured)
  run.missing.push(...missing)
}

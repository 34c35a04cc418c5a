/** What calls cost, beside the same calls of others. */

import type { Peer } from "./peer.js"
import { ours, type PeerName, startOurs } from "./peers.js"
import { measure, type RowPlan } from "./rounds.js"
import type { Part, Run } from "./run.js"

/** Rows that are measured in turns with each other. */
interface Group {
  readonly rows: readonly RowPlan[]
  /** Everybody unless given. */
  readonly by?: PeerName
  /** Ours alone, in a process of its own: what these rows do slows others down that come after them. */
  readonly apart?: true
}

const rows = (batches: number, operations: number, ...names: string[]): RowPlan[] =>
  names.map((row) => ({ row, batches, operations, warmUp: batches }))

/** No batch queues more than the driver takes without waiting. */
const groups: readonly Group[] = [
  { rows: rows(7, 100, "launch", "two-launches", "four-calls", "fork-join", "graph-launch") },
  { rows: rows(25, 100, "fork-join-beyond") },
  { rows: rows(7, 100, "fork-join-empty"), by: ours },
  { rows: rows(7, 20_000, "two-functions", "null-aux"), by: ours },
  // All storages share the code of Node.js, which is slower from the second one on: the library's own is the first.
  { rows: rows(7, 20_000, "async-local-storage"), apart: true },
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
    for (const { rows, by, apart } of groups) {
      if (apart) await measureApart(run, rows)
      else await measureInto(run, by === undefined ? present : present.filter(({ name }) => name === by), rows)
    }
    return { versions: Object.fromEntries(present.map(({ name, versions }) => [name, versions])) }
  },
}

async function measureApart(run: Run, rows: readonly RowPlan[]): Promise<void> {
  const peer = await startOurs()
  try {
    await measureInto(run, [peer], rows)
  } finally {
    peer.stop()
  }
}

/** Measures rows and puts what is found into the run's report. */
export async function measureInto(
  run: Run,
  peers: readonly Peer[],
  plans: readonly RowPlan[],
  reserve = 10,
): Promise<void> {
  const scaled = run.settings.quick ? plans.map(({ row }) => ({ row, batches: 1, operations: 2 })) : plans
  const { measured, missing } = await measure(peers, scaled, run.settings.rounds, () => run.secondsLeft > reserve)
  run.measured.push(...measured)
  run.missing.push(...missing)
}

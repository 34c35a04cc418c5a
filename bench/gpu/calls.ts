/** Measures the cost of calls, beside the same calls in other libraries. */

import type { Peer } from "./peer.js"
import { ours, type PeerName, startOurs } from "./peers.js"
import { measure, type RowPlan } from "./rounds.js"
import type { Part, Run } from "./run.js"

/** Rows that are measured alternately. */
interface Group {
  readonly rows: readonly RowPlan[]
  /** Only ours, in a separate process, because these rows slow down later ones. */
  readonly apart?: true
  /** A factor for the number of rounds: a small difference of two large figures is noisier. */
  readonly times?: number
}

const rows = (batches: number, operations: number, ...names: string[]): RowPlan[] =>
  names.map((row) => ({ row, batches, operations, warmUp: batches }))

const only = (by: PeerName, plans: RowPlan[]): RowPlan[] => plans.map((plan) => ({ ...plan, by }))

/** A fork-join minus its launches, and the driver calls that it makes. */
const beyondLaunches: readonly RowPlan[] = [
  ...rows(25, 100, "fork-join-beyond", "four-calls"),
  ...only("C++", rows(25, 100, "fork-join-beyond:allocated")),
  ...only(ours, rows(25, 100, "fork-join-beyond:named", "four-calls-between")),
]

/** No batch queues more than the driver accepts without blocking. */
const groups: readonly Group[] = [
  { rows: rows(7, 100, "launch", "two-launches", "fork-join", "graph-launch", "allocation") },
  { rows: beyondLaunches, times: 3 },
  { rows: only(ours, rows(7, 100, "fork-join-empty")) },
  { rows: only(ours, rows(7, 20_000, "two-functions", "null-aux")) },
  // All storages share the code of Node.js, which is slower from the second one on: the library's own is the first.
  { rows: rows(7, 20_000, "async-local-storage"), apart: true },
  { rows: rows(7, 30, "fork-join-done", "graph-done") },
  { rows: only(ours, rows(3, 10, "fill-float32", "fill-float64")) },
  { rows: rows(3, 5, "spin-one:1000", "spin-both:1000") },
  { rows: rows(5, 4, "end:50", "end:100", "end:500", "end:5000") },
  { rows: only("C++", rows(5, 4, "end-blocking:50", "end-blocking:500", "end-blocking:5000")) },
]

export const calls: Part = {
  name: "calls",
  least: 60,
  async run(run) {
    const { present } = await run.peers()
    for (const { rows, apart, times } of groups) {
      if (apart) await measureApart(run, rows)
      else await measureInto(run, present, rows, times)
    }
    return {
      versions: Object.fromEntries(present.map(({ name, versions }) => [name, versions])),
      onOneCore: present.every(({ onOneCore }) => onOneCore),
    }
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

/** Measures rows and adds them to the run's report. Stops in time for the parts after it. */
export async function measureInto(
  run: Run,
  peers: readonly Peer[],
  plans: readonly RowPlan[],
  times = 1,
): Promise<void> {
  const scaled = run.settings.quick ? plans.map((plan) => ({ ...plan, batches: 1, operations: 2, warmUp: 0 })) : plans
  const rounds = run.settings.rounds * (run.settings.quick ? 1 : times)
  const { measured, missing } = await measure(peers, scaled, rounds, () => run.secondsLeft > 10)
  run.measured.push(...measured)
  run.missing.push(...missing)
}

/**
 * Alternates between the peers: in each round every peer measures each row once, so that other load on the machine affects
 * all alike. A round's figure is the median of its batches. The report has the median of the rounds, with their spread.
 */

import type { Figures, Peer } from "./peer.js"

/** A row to measure. */
export interface RowPlan {
  readonly row: string
  /** The number of timed batches in a round. */
  readonly batches: number
  /** The number of operations in a batch. */
  readonly operations: number
  /** The number of untimed batches at the start: a process that has waited has cold caches and a slow core. */
  readonly warmUp?: number
  /** The peers that measure the row; all by default. */
  readonly by?: string
}

/** A row of one peer, measured. Times are in nanoseconds for one operation. */
export interface Measured {
  readonly row: string
  readonly peer: string
  readonly median: number
  readonly p25: number
  readonly p75: number
  readonly least: number
  readonly most: number
  /** The figure of each round. */
  readonly rounds: readonly number[]
  /** The medians of its other figures: `host` is the calling thread's time in nanoseconds. */
  readonly beside: Readonly<Record<string, number>>
}

/** A row that a peer could not measure, and why. */
export interface Missing {
  readonly row: string
  readonly peer: string
  readonly reason: string
}

/** The result of a measurement. */
export interface Findings {
  readonly measured: readonly Measured[]
  readonly missing: readonly Missing[]
}

interface Contender {
  readonly peer: Peer
  readonly plan: RowPlan
  readonly turns: Figures[]
  reason: string | undefined
}

/** The time limit of an answer. The first one of a row compiles, allocates and fills. */
const seconds = { first: 60, later: 20 } as const

/** Measures rows of several peers alternately. When the time is up, stops with the results so far. */
export async function measure(
  peers: readonly Peer[],
  plans: readonly RowPlan[],
  rounds: number,
  hasTime: () => boolean,
): Promise<Findings> {
  const contenders = plans.flatMap((plan) =>
    peers
      .filter(({ name }) => plan.by === undefined || plan.by === name)
      .map((peer): Contender => ({ peer, plan, turns: [], reason: undefined })),
  )
  // The first round warms up.
  for (let round = -1; round < rounds && hasTime(); round++) {
    for (let place = 0; place < contenders.length; place++) {
      // Each round starts with another peer.
      const contender = contenders[(place + Math.max(0, round)) % contenders.length]
      if (contender !== undefined) await turn(contender, round)
    }
  }
  return findings(contenders)
}

async function turn(contender: Contender, round: number): Promise<void> {
  const { peer, plan, turns } = contender
  if (contender.reason !== undefined) return
  const limit = round < 0 ? seconds.first : seconds.later
  const { row, batches, operations, warmUp = 0 } = plan
  const answer = await peer.ask(row, warmUp + batches, operations, limit)
  if ("reason" in answer) contender.reason = answer.reason
  else if (round >= 0) turns.push(without(answer.figures, warmUp))
}

function without(figures: Figures, first: number): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, values.slice(first)]))
}

function findings(contenders: readonly Contender[]): Findings {
  const measured: Measured[] = []
  const missing: Missing[] = []
  for (const { peer, plan, turns, reason } of contenders) {
    const of = { row: plan.row, peer: peer.name }
    if (turns.length > 0) measured.push({ ...of, ...figuresOf(turns) })
    if (turns.length === 0 || reason !== undefined) missing.push({ ...of, reason: reason ?? "there was no time" })
  }
  return { measured, missing }
}

function figuresOf(turns: readonly Figures[]): Omit<Measured, "row" | "peer"> {
  const rounds = turns.map((figures) => median(figures["nanoseconds"] ?? []))
  const others = Object.keys(turns[0] ?? {}).filter((name) => name !== "nanoseconds")
  const beside = others.map((name) => [name, median(turns.map((figures) => median(figures[name] ?? [])))] as const)
  return {
    median: median(rounds),
    p25: quantile(rounds, 0.25),
    p75: quantile(rounds, 0.75),
    least: Math.min(...rounds),
    most: Math.max(...rounds),
    rounds,
    beside: Object.fromEntries(beside),
  }
}

const median = (values: readonly number[]) => quantile(values, 0.5)

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = q * (sorted.length - 1)
  const [below = NaN, above = NaN] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  return below + (above - below) * (at - Math.floor(at))
}

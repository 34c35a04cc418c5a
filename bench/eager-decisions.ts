/**
 * Makes fresh decisions about eager fork-joins, and measures both ways of them beside each other: whether a policy finds the
 * faster way, whether the decision is as good as the better way afterwards, and what all that costs.
 */
import { type MeasuredOverlap, measuredOverlap, type OverlapMode } from "auxstream"

/** Smaller differences count as none: then either way is right. */
const LEAST = { relative: 0.05, microseconds: 1 } as const
/** A policy that has not decided after so many calls does not decide. */
const MOST_CALLS = 2000

/** How a call runs: one way always, or as a policy wants. */
export type Way = OverlapMode | MeasuredOverlap

/** A piece of a program: some fork-joins one after the other, each followed by what needs both its parts. */
export interface Piece {
  /** How many fork-joins a turn queues. */
  readonly calls: number
  /** Queues them. */
  queue(way: Way): void
  /** Waits until they are done. */
  settle(): void
}

export interface Effort {
  /** How many fresh decisions to make at most. */
  readonly decisions: number
  /** How many calls to make each way afterwards, to compare the decided way with both. */
  readonly later: number
  /** About how long to take in all. */
  readonly seconds: number
}

/** What was found about one piece. Times are microseconds for one call, until the device is done. */
export interface Contest {
  /** Medians over turns, which alternate. */
  readonly sequential: number
  readonly parallel: number
  /** The median of sequential ÷ parallel over pairs of turns. */
  readonly speedUp: number
  /** The way that is faster; undefined if both are about as fast. */
  readonly faster: OverlapMode | undefined
  readonly decisions: number
  readonly decidedParallel: number
  /** Decisions for the faster way; all if there is none. */
  readonly right: number
  /** The mean number of calls before a decision. */
  readonly callsBefore: number
  /** The median of the policy's later turns, and its loss against the better way: below 0 is a gain. */
  readonly chosen: number
  readonly loss: Loss
  /** The same of the decided way without a policy. So much of the loss is chance, or a wrong decision. */
  readonly control: Loss
}

/** The median over pairs of turns. */
interface Loss {
  readonly relative: number
  readonly microseconds: number
}

/** Compares both ways, makes fresh decisions, and compares one of them with both ways. */
export function contest(piece: Piece, { decisions, later, seconds }: Effort): Contest {
  const end = performance.now() + seconds * 1000
  for (const way of ["parallel", "sequential", "parallel", "sequential"] as const) timed(piece, way)
  const beside = { parallel: [] as number[], sequential: [] as number[] }
  const policies: MeasuredOverlap[] = []
  let callsBefore = 0
  while (policies.length < decisions && (policies.length < 3 || performance.now() < end - seconds * 300)) {
    // Machines drift, so both ways are also measured beside each decision.
    for (const way of shuffled(["parallel", "sequential"] as const)) beside[way].push(timed(piece, way))
    const { policy, calls } = decide(piece)
    policies.push(policy)
    callsBefore += calls
  }
  const modes = policies.map(modeOf)
  const turns = laterTurns(piece, typical(policies), Math.max(6, Math.ceil(later / piece.calls)), end)
  const both = {
    parallel: [...beside.parallel, ...turns.parallel],
    sequential: [...beside.sequential, ...turns.sequential],
  }
  const [sequential, parallel] = [median(both.sequential), median(both.parallel)]
  const speedUp = median(both.sequential.map((time, index) => time / (both.parallel[index] ?? NaN)))
  const faster = fasterOf({ sequential, parallel }, speedUp)
  const better = turns[speedUp >= 1 ? "parallel" : "sequential"]
  return {
    ...{ sequential, parallel, speedUp, faster, decisions: modes.length },
    decidedParallel: modes.filter((mode) => mode === "parallel").length,
    right: modes.filter((mode) => mode !== undefined && (faster === undefined || mode === faster)).length,
    callsBefore: callsBefore / modes.length,
    chosen: median(turns.chosen),
    loss: lossOf(turns.chosen, better),
    control: lossOf(turns.control, better),
  }
}

function lossOf(turns: readonly number[], better: readonly number[]): Loss {
  const relative = median(turns.map((time, index) => time / (better[index] ?? NaN))) - 1
  return { relative, microseconds: relative * median(better) }
}

const modeOf = (policy: MeasuredOverlap): OverlapMode | undefined => policy.decisions[0]?.mode

/** A policy with the decision that most of them made. */
function typical(policies: readonly MeasuredOverlap[]): MeasuredOverlap {
  const parallel = policies.filter((policy) => modeOf(policy) === "parallel")
  const [first] = parallel.length * 2 > policies.length ? parallel : policies.filter((one) => !parallel.includes(one))
  if (first === undefined) throw new Error("no decision was made")
  return first
}

/** A fresh policy decides. */
function decide(piece: Piece): { policy: MeasuredOverlap; calls: number } {
  const policy = measuredOverlap({ name: "fresh" })
  let calls = 0
  while (modeOf(policy) === undefined && calls < MOST_CALLS) {
    timed(piece, policy)
    calls += piece.calls
  }
  return { policy, calls }
}

type Turns = Readonly<Record<OverlapMode | "chosen" | "control", number[]>>

/**
 * Turns of both ways, of the policy, and of the way that it has decided. Each round is in another random order: a turn
 * depends on the one before it, which leaves threads awake or asleep.
 */
function laterTurns(piece: Piece, policy: MeasuredOverlap, rounds: number, end: number): Turns {
  const contenders = [
    ["parallel", "parallel"],
    ["sequential", "sequential"],
    ["chosen", policy],
    ["control", modeOf(policy) ?? "parallel"],
  ] as const
  const turns: Turns = { parallel: [], sequential: [], chosen: [], control: [] }
  for (let round = 0; round < rounds && (round < 6 || performance.now() < end); round++) {
    for (const [name, way] of shuffled(contenders)) turns[name].push(timed(piece, way))
  }
  return turns
}

/** The same values in a random order. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ value }) => value)
}

/** @returns microseconds for one call of a turn, until the device is done */
function timed(piece: Piece, way: Way): number {
  const started = performance.now()
  piece.queue(way)
  piece.settle()
  return ((performance.now() - started) * 1000) / piece.calls
}

function fasterOf(medians: Readonly<Record<OverlapMode, number>>, speedUp: number): OverlapMode | undefined {
  const isClear =
    Math.abs(Math.log(speedUp)) > Math.log(1 + LEAST.relative) &&
    Math.abs(medians.sequential - medians.parallel) > LEAST.microseconds
  if (!isClear) return undefined
  return speedUp > 1 ? "parallel" : "sequential"
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2
}

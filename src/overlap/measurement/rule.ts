/**
 * The rule by which a measurement decides: what a call costs its program, and which of two modes costs less. Pure: it
 * knows neither devices nor clocks. The README of this folder says why it is this rule.
 */
import type { OverlapMode } from "../../runtime/order/policy/overlap-policy.js"

/** What was measured of one call. Times are microseconds. */
export interface Timing {
  /** From the stream's arrival at the call to its arrival at the end of the call. */
  readonly elapsed: number
  /** The time that the call took on the calling thread. */
  readonly host: number
  /** What passed since the call before. Undefined if that ran in the other mode, or if the program has waited since. */
  readonly gap: Gap | undefined
}

/** What passed between two calls in the same mode, between which the program did not wait. */
export interface Gap {
  /** On the stream, from the end of the call before to the beginning of this one. */
  readonly stream: number
  /** The same on the calling thread. */
  readonly thread: number
  /** What the measurement itself took of the thread's time. */
  readonly own: number
  /** Whether the stream had nothing to do when the call began. */
  readonly starved: boolean
}

/** Two calls that followed each other, one in each mode. */
export type Pair = Readonly<Record<OverlapMode, Timing>>

/** What pairs tell about both modes. */
export interface Comparison {
  /** The median logarithm of sequential cost ÷ parallel cost: above 0 if the parallel mode is faster. */
  readonly gain: number
  /** The same in microseconds a call. */
  readonly saved: number
  /** Typical costs in microseconds. Their quotient is the gain. */
  readonly parallel: number
  readonly sequential: number
}

/** What a call costs its program. Undefined if that is not known of this call. */
type Price = (mode: OverlapMode, timing: Timing) => number | undefined

/** Shorter times cannot be told from zero. In microseconds. */
const SHORTEST = 0.01
/** If the stream takes so many times the thread's time, it is the bottleneck. */
const CLEARLY_LONGER = 1.05

/**
 * Compares both modes. Each parallel call is compared with the sequential calls of its own pair and of the two pairs
 * beside it, which ran at nearly the same time, so that a slow drift of the machine cancels out. The median of these
 * comparisons ignores rare slow calls.
 *
 * @param pairs at least one
 */
export function compare(pairs: readonly Pair[]): Comparison {
  return (
    compareBy(priceFor(pairs), pairs) ??
    compareBy(elapsedOf, pairs) ?? { gain: 0, saved: 0, parallel: 0, sequential: 0 }
  )
}

function compareBy(price: Price, pairs: readonly Pair[]): Comparison | undefined {
  const gains: number[] = []
  const levels: number[] = []
  for (const [index, pair] of pairs.entries()) {
    const parallel = price("parallel", pair.parallel)
    if (parallel === undefined) continue
    for (const neighbour of pairs.slice(Math.max(0, index - 1), index + 2)) {
      const sequential = price("sequential", neighbour.sequential)
      if (sequential === undefined) continue
      gains.push(Math.log(Math.max(SHORTEST, sequential) / Math.max(SHORTEST, parallel)))
      levels.push(Math.sqrt(Math.max(SHORTEST, sequential) * Math.max(SHORTEST, parallel)))
    }
  }
  if (gains.length === 0) return undefined
  const gain = median(gains)
  const level = median(levels)
  const [parallel, sequential] = [level * Math.exp(-gain / 2), level * Math.exp(gain / 2)]
  return { gain, saved: sequential - parallel, parallel, sequential }
}

/**
 * What determines how fast the program is, in each mode: the stream or the calling thread. If it is the stream in both, a
 * call costs what the stream takes for it. If it is the thread in both, a call costs its time there. Otherwise whole
 * periods are compared, from the end of a call to the end of the next one, less what the stream does between calls.
 */
function priceFor(pairs: readonly Pair[]): Price {
  const parallel = pairs.flatMap(({ parallel }) => spaced(parallel))
  const sequential = pairs.flatMap(({ sequential }) => spaced(sequential))
  if (Math.min(parallel.length, sequential.length) * 4 < pairs.length) return elapsedOf
  const boundByStream = { parallel: isBoundByStream(parallel), sequential: isBoundByStream(sequential) }
  if (boundByStream.parallel && boundByStream.sequential) return elapsedOf
  if ([parallel, sequential].every((calls) => isMostly(calls, ({ gap }) => gap.starved))) return hostOf
  const between = Math.min(...[parallel, sequential].map((calls) => median(calls.map(({ gap }) => gap.stream))))
  return (mode, { elapsed, host, gap }) =>
    gap && (boundByStream[mode] ? gap.stream + elapsed : gap.thread - gap.own + host) - between
}

type Spaced = Timing & { readonly gap: Gap }

function spaced({ gap, ...others }: Timing): Spaced[] {
  return gap === undefined ? [] : [{ ...others, gap }]
}

/** Whether the thread gets ahead of the stream with each call. */
function isBoundByStream(calls: readonly Spaced[]): boolean {
  return median(calls.map(({ elapsed, host, gap }) => (gap.stream + elapsed) / (gap.thread + host))) > CLEARLY_LONGER
}

function isMostly<T>(values: readonly T[], test: (value: T) => boolean): boolean {
  return values.filter(test).length * 2 > values.length
}

const elapsedOf: Price = (_, { elapsed }) => elapsed
const hostOf: Price = (_, { host, gap }) => gap && host

/** The mode that costs less. If both cost the same, calls run in parallel, as they do without a policy. */
export function fasterOf({ gain }: Comparison): OverlapMode {
  return gain < 0 ? "sequential" : "parallel"
}

/** Below both of these, two modes count as equally fast, and a decision is not changed. */
const MARGIN = { relative: 0.02, microseconds: 0.5 }
/** What counts as a large difference. */
const LARGE = { relative: 0.05, microseconds: 1 }

/** Whether the comparison speaks clearly for the mode. */
export function isClearFor(mode: OverlapMode, comparison: Comparison, { relative, microseconds } = MARGIN): boolean {
  const sign = mode === "parallel" ? 1 : -1
  return sign * comparison.gain > relative && sign * comparison.saved > microseconds
}

/** Whether the comparison speaks for the mode with a large difference. */
export function isLargeFor(mode: OverlapMode, comparison: Comparison): boolean {
  return isClearFor(mode, comparison, LARGE)
}

/** The median of a list that is not empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

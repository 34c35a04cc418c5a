/**
 * The rule by which a measurement decides: what a call costs its program, and which of two modes costs less. Pure: it
 * knows neither devices nor clocks. The README of this folder says why it is this rule.
 */
import type { OverlapMode } from "../runtime/order/policy/overlap-policy.js"

/** What was measured of one call. Times are microseconds. */
export interface Timing {
  /** From the stream's arrival at the call to its arrival at the end of the call. */
  readonly elapsed: number
  /** The time that the call took on the calling thread. */
  readonly host: number
  /** Whether the stream ran out of work before the next call, although the program had not waited for it. */
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
  /** The median costs in microseconds. */
  readonly parallel: number
  readonly sequential: number
}

/** Shorter times cannot be told from zero. In microseconds. */
const SHORTEST = 0.01

/**
 * Compares both modes. Each parallel call is compared with the sequential calls of its own pair and of the two pairs
 * beside it, which ran at nearly the same time, so that a slow drift of the machine cancels out. The median of these
 * comparisons ignores rare slow calls.
 *
 * @param pairs at least one
 */
export function compare(pairs: readonly Pair[]): Comparison {
  const gains: number[] = []
  const costs: Record<OverlapMode, number[]> = { parallel: [], sequential: [] }
  for (const [index, { parallel }] of pairs.entries()) {
    for (const { sequential } of pairs.slice(Math.max(0, index - 1), index + 2)) {
      const starved = (Number(parallel.starved) + Number(sequential.starved)) / 2
      const cost = { parallel: costOf(parallel, starved), sequential: costOf(sequential, starved) }
      gains.push(Math.log(cost.sequential / cost.parallel))
      costs.parallel.push(cost.parallel)
      costs.sequential.push(cost.sequential)
    }
  }
  const gain = median(gains)
  const [parallel, sequential] = [median(costs.parallel), median(costs.sequential)]
  return { gain, saved: savedOf(gain, parallel, sequential), parallel, sequential }
}

/**
 * What a call costs its program. A stream that never runs out of work passes from call to call, so a call costs the time
 * that the stream takes for it. If the stream starves, the program is as slow as the calling thread, and the call costs
 * its time there.
 *
 * @param starved the share of calls after which the stream starved
 */
function costOf({ elapsed, host }: Timing, starved: number): number {
  return Math.max(SHORTEST, elapsed * (1 - starved) + host * starved)
}

/** The gain in microseconds of the cheaper mode's call, so that it has the sign of `gain` whatever the medians are. */
function savedOf(gain: number, parallel: number, sequential: number): number {
  const cheaper = Math.min(parallel, sequential)
  return Math.sign(gain) * cheaper * Math.expm1(Math.abs(gain))
}

/** The mode that costs less. If both cost the same, calls run in parallel, as they do without a policy. */
export function fasterOf({ gain }: Comparison): OverlapMode {
  return gain < 0 ? "sequential" : "parallel"
}

/** Below both of these, two modes count as equally fast, and a decision is not changed. */
const MARGIN = { relative: 0.02, microseconds: 0.5 }

/** Whether the comparison speaks clearly for the mode. */
export function isClearFor(mode: OverlapMode, { gain, saved }: Comparison): boolean {
  const sign = mode === "parallel" ? 1 : -1
  return sign * gain > MARGIN.relative && sign * saved > MARGIN.microseconds
}

/** The median of a list that is not empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

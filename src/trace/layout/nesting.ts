/**
 * How intervals of one stream or thread are drawn: those inside others below them, and those that overlap without being inside
 * on a track of their own. Slices of one track must never overlap by a part: no viewer can draw that.
 */

import type { TraceCall, TraceRegion, TraceSpan } from "../data/data.js"

/** A piece of time, in nanoseconds. */
export interface Interval {
  readonly start: number
  readonly end: number
}

/** Which intervals may be inside others. Intervals are named by their indices. */
export interface Family {
  /** Of two intervals that begin together, the one of the lower level is the outer one. */
  readonly level: (index: number) => number
  /** Whether `outer`, which includes the time of `inner`, may hold it. */
  readonly mayHold: (outer: number, inner: number) => boolean
}

/** Where an interval is drawn. */
export interface Nested {
  /** Its index among all intervals. */
  readonly index: number
  /** 0, or more if the tracks before are taken by an interval that overlaps it. */
  readonly track: number
  /** How many intervals of its track it lies inside. */
  readonly depth: number
}

/** Places those of `all` that `indices` names. Returns them in the order of their beginnings, outer ones first. */
export function nest(all: readonly Interval[], indices: readonly number[], family: Family): Nested[] {
  const at = (index: number) => all[index] ?? { start: 0, end: 0 }
  /** For each track, the intervals that are open, outermost first. */
  const open: number[][] = []
  const inOrder = [...indices].sort(
    (a, b) => at(a).start - at(b).start || family.level(a) - family.level(b) || byLength(at(a), at(b)),
  )
  return inOrder.map((index) => {
    const { start, end } = at(index)
    const fits = (stack: number[]) => {
      const outer = stack.at(-1)
      return outer === undefined || (at(outer).end >= end && family.mayHold(outer, index))
    }
    for (const stack of open) while (stack.length > 0 && at(stack.at(-1) ?? index).end <= start) stack.pop()
    const found = open.findIndex(fits)
    const track = found < 0 ? open.push([]) - 1 : found
    const depth = (open[track]?.push(index) ?? 1) - 1
    return { index, track, depth }
  })
}

/** Longer ones first, but those without length before all: they end where the others begin. */
function byLength(a: Interval, b: Interval): number {
  const [first, second] = [a.end - a.start, b.end - b.start]
  return first === 0 || second === 0 ? first - second : second - first
}

/** A graph holds its nodes, and a conditional the nodes of its iterations. */
export function familyOfSpans(spans: readonly TraceSpan[]): Family {
  return {
    level(index) {
      const span = spans[index]
      if (span?.parent === undefined) return 0
      return span.iteration === undefined ? 1 : 2
    },
    mayHold(outer, inner) {
      const graph = spans[inner]?.parent
      if (graph === undefined) return false
      return graph === outer || (spans[outer]?.kind === "conditional" && spans[outer]?.parent === graph)
    },
  }
}

/** A region holds those that were called inside its functions. */
export function familyOfRegions(regions: readonly TraceRegion[]): Family {
  const ancestors = (index: number): number[] => {
    const found: number[] = []
    let next = regions[index]?.parent
    while (next !== undefined && !found.includes(next)) {
      found.push(next)
      next = regions[next]?.parent
    }
    return found
  }
  return {
    level: (index) => ancestors(index).length,
    mayHold: (outer, inner) => ancestors(inner).includes(outer),
  }
}

/** On one thread, a call holds those that it made. */
export function familyOfCalls(calls: readonly TraceCall[]): Family {
  return { level: () => 0, mayHold: (outer, inner) => calls[outer]?.thread === calls[inner]?.thread }
}

/** Unions of intervals, and the overlap figures that follow from them. */
import type { OverlapFigures } from "../data/figures.js"

/** From `start` to before `end`. */
export interface Interval {
  readonly start: number
  readonly end: number
}

/** Disjoint intervals in order that cover the same time. Empty ones are left out. */
export function unionOf(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals.filter(({ start, end }) => start < end).toSorted((a, b) => a.start - b.start)
  const union: { start: number; end: number }[] = []
  for (const { start, end } of sorted) {
    const last = union.at(-1)
    if (last === undefined || start > last.end) union.push({ start, end })
    else last.end = Math.max(last.end, end)
  }
  return union
}

/** The time that intervals cover together. */
export function coverage(intervals: readonly Interval[]): number {
  return unionOf(intervals).reduce((sum, { start, end }) => sum + end - start, 0)
}

/** The pauses between the first beginning and the last end. */
export function gapsOf(intervals: readonly Interval[]): Interval[] {
  const union = unionOf(intervals)
  return union.slice(1).map(({ start }, index) => ({ start: union[index]?.end ?? start, end: start }))
}

/** How much of the work of several lanes ran side by side. */
export function overlapOf(lanes: readonly (readonly Interval[])[]): OverlapFigures {
  const times = lanes.map(coverage)
  const busy = times.reduce((sum, time) => sum + time, 0)
  const union = coverage(lanes.flat())
  const longest = times.reduce((most, time) => Math.max(most, time), 0)
  return busy > longest
    ? { busy, union, longest, overlap: (busy - union) / (busy - longest) }
    : { busy, union, longest }
}

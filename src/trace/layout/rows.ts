/**
 * Rows of boxes that never overlap. Boxes below two pixels are drawn together with their neighbours of the same column, so
 * that drawing a row costs as much as its pixels, however many boxes it has.
 */

import type { Interval, Nested } from "./nesting.js"
import { type View, scaleOf, timeAt } from "./view.js"

/** Boxes in the order of their times, as columns. */
export interface Row {
  readonly starts: Float64Array
  readonly ends: Float64Array
  /** What each box stands for. */
  readonly ids: Uint32Array
  /** The lengths of all boxes before each one, and, last, of all. */
  readonly lengths: Float64Array
}

/** The boxes of a lane, row by row: for each track of the nesting, its depths. */
export function rowsOf(intervals: readonly Interval[], nested: readonly Nested[]): Row[] {
  const depths: number[] = []
  for (const { track, depth } of nested) depths[track] = Math.max(depths[track] ?? 0, depth + 1)
  const firsts = depths.map((_, track) => depths.slice(0, track).reduce((sum, depth) => sum + depth, 0))
  const ids: number[][] = []
  for (const { index, track, depth } of nested) (ids[(firsts[track] ?? 0) + depth] ??= []).push(index)
  return ids.map((row) => rowOf(intervals, row))
}

function rowOf(intervals: readonly Interval[], ids: readonly number[]): Row {
  const starts = Float64Array.from(ids, (id) => intervals[id]?.start ?? 0)
  const ends = Float64Array.from(ids, (id) => intervals[id]?.end ?? 0)
  const lengths = new Float64Array(ids.length + 1)
  ids.forEach((_, index) => {
    lengths[index + 1] = value(lengths, index) + value(ends, index) - value(starts, index)
  })
  return { starts, ends, ids: Uint32Array.from(ids), lengths }
}

/** Boxes that are drawn as one: from `first` to before `next`. A box that is wide enough is alone. */
export interface Boxes {
  readonly first: number
  readonly next: number
}

/** Visits the drawn parts of a row, from left to right. */
export function forEachBoxes(row: Row, view: View, visit: (first: number, next: number) => void): void {
  const count = row.starts.length
  let index = firstAbove(row.ends, view.from)
  while (index < count && value(row.starts, index) < view.to) {
    const next = endOfBoxes(row, view, index)
    visit(index, next)
    index = next
  }
}

/**
 * The end of the boxes that are drawn with the one at `index`, which is the first of its column. Columns start at multiples of
 * their length, not at the edge of the view: so they keep their boxes while the view is moved.
 */
function endOfBoxes(row: Row, view: View, index: number): number {
  const scale = scaleOf(view)
  if (isWide(row, index, scale)) return index + 1
  const column = NARROWEST * scale
  const columnEnd = (Math.floor(value(row.starts, index) / column) + 1) * column
  const next = Math.max(index + 1, firstAtOrAbove(row.starts, columnEnd, index))
  // Only the last one can be longer than the column.
  return next - 1 > index && isWide(row, next - 1, scale) ? next - 1 : next
}

/** In pixels. Narrower spans are drawn together with their neighbours, in columns of this width. */
const NARROWEST = 2

const isWide = (row: Row, index: number, scale: number) =>
  value(row.ends, index) - value(row.starts, index) >= NARROWEST * scale

/** The longest of some boxes, which gives them their colour. Looks at sixteen at most. */
export function longestOf(row: Row, first: number, next: number): number {
  const step = Math.max(1, Math.floor((next - first) / 16))
  let longest = first
  const length = (index: number) => value(row.ends, index) - value(row.starts, index)
  for (let index = first; index < next; index += step) if (length(index) > length(longest)) longest = index
  return longest
}

/** The part drawn at a pixel of a row, or at most `near` pixels beside it. */
export function boxesAt(row: Row, view: View, x: number, near = 3): Boxes | undefined {
  const time = timeAt(view, x)
  const distance = (index: number) => Math.max(value(row.starts, index) - time, time - value(row.ends, index), 0)
  const after = firstAbove(row.ends, time)
  const candidates = [after - 1, after, after + 1].filter((index) => index >= 0 && index < row.starts.length)
  const nearest = candidates.reduce(
    (best, index) => (distance(index) < distance(best) ? index : best),
    candidates[0] ?? 0,
  )
  if (candidates.length === 0 || distance(nearest) > near * scaleOf(view)) return undefined
  const scale = scaleOf(view)
  if (isWide(row, nearest, scale)) return { first: nearest, next: nearest + 1 }
  const column = NARROWEST * scale
  const columnStart = Math.floor(value(row.starts, nearest) / column) * column
  const first = Math.max(firstAtOrAbove(row.starts, columnStart), firstAbove(row.ends, view.from))
  return { first: Math.min(first, nearest), next: endOfBoxes(row, view, Math.min(first, nearest)) }
}

/** The index of the first number above a limit, in ascending numbers. */
export function firstAbove(numbers: Float64Array, limit: number, from = 0): number {
  return search(numbers, from, (number) => number > limit)
}

/** The index of the first number at or above a limit, in ascending numbers. */
export function firstAtOrAbove(numbers: Float64Array, limit: number, from = 0): number {
  return search(numbers, from, (number) => number >= limit)
}

function search(numbers: Float64Array, from: number, isFound: (number: number) => boolean): number {
  let [low, high] = [from, numbers.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isFound(value(numbers, middle))) high = middle
    else low = middle + 1
  }
  return low
}

/** An element that exists. */
const value = (numbers: Float64Array, index: number) => numbers[index] ?? NaN

/** The part of a time in which a row's boxes ran, from 0 to 1. */
export function busyShare(row: Row, start: number, end: number): number {
  const first = firstAbove(row.ends, start)
  const next = firstAtOrAbove(row.starts, end, first)
  if (first >= next) return 0
  const before = Math.max(0, start - value(row.starts, first))
  const behind = Math.max(0, value(row.ends, next - 1) - end)
  return (
    (value(row.lengths, next) - value(row.lengths, first) - before - behind) / Math.max(end - start, Number.MIN_VALUE)
  )
}

/** Finds the thing under the pointer. */

import { type PlacedLane, type Placement, rowAt } from "./geometry.js"
import { boxesAt, longestOf } from "./rows.js"
import type { Item } from "./search.js"
import type { View } from "./view.js"

/** One thing, or several that are too short to be drawn apart. */
export interface Hit {
  readonly lane: PlacedLane
  /** The thing; of several the longest. */
  readonly item: Item
  /** How many things are drawn there. */
  readonly count: number
  /** From the beginning of the first to the end of the last, in nanoseconds. */
  readonly start: number
  readonly end: number
}

/** @param y - In pixels from the first group's top. */
export function hitAt(placement: Placement, view: View, x: number, y: number): Hit | undefined {
  const found = rowAt(placement, y)
  const row = found?.lane.lane.rows[found.row]
  if (found === undefined || row === undefined) return undefined
  const boxes = boxesAt(row, view, x)
  if (boxes === undefined) return undefined
  const index = row.ids[longestOf(row, boxes.first, boxes.next)] ?? 0
  return {
    lane: found.lane,
    item: { kind: found.lane.lane.kind, index },
    count: boxes.next - boxes.first,
    start: row.starts[boxes.first] ?? 0,
    end: row.ends[boxes.next - 1] ?? 0,
  }
}

/** Where lanes are on the screen, from top to bottom, in pixels. */

import type { Lane, LaneGroup } from "./lanes.js"

/** Sizes of a drawing. */
export interface Sizes {
  readonly groupHeader: number
  /** The height of one row of operations or calls, with the gap below it. */
  readonly row: number
  /** The height of one row of fork-joins. */
  readonly bracket: number
  /** Above and below the rows of a lane. */
  readonly padding: number
  /** The height of a lane's label if it is above the lane, and 0 if it is beside it. */
  readonly labelAbove: number
}

export const WIDE: Sizes = { groupHeader: 30, row: 21, bracket: 23, padding: 5, labelAbove: 0 }
export const NARROW: Sizes = { groupHeader: 30, row: 21, bracket: 23, padding: 4, labelAbove: 16 }

export interface PlacedLane {
  readonly lane: Lane
  readonly y: number
  readonly height: number
  /** Where its first row is. */
  readonly rowsY: number
  readonly rowHeight: number
}

export interface PlacedGroup {
  readonly group: LaneGroup
  readonly y: number
  readonly height: number
}

export interface Placement {
  readonly groups: readonly PlacedGroup[]
  readonly lanes: readonly PlacedLane[]
  readonly height: number
}

export function place(groups: readonly LaneGroup[], sizes: Sizes): Placement {
  const placedGroups: PlacedGroup[] = []
  const lanes: PlacedLane[] = []
  let y = 0
  for (const group of groups) {
    const top = y
    y += sizes.groupHeader
    for (const lane of group.lanes) {
      const placed = placeLane(lane, y, sizes)
      lanes.push(placed)
      y += placed.height
    }
    placedGroups.push({ group, y: top, height: y - top })
  }
  return { groups: placedGroups, lanes, height: y }
}

/** Many rows get lower ones, so that no lane fills the screen alone. */
function placeLane(lane: Lane, y: number, { row, bracket, padding, labelAbove }: Sizes): PlacedLane {
  const full = lane.kind === "region" ? bracket : row
  const rowHeight = lane.rows.length > 8 ? Math.round(full / 2) : full
  const rowsY = y + padding + labelAbove
  return { lane, y, rowsY, rowHeight, height: 2 * padding + labelAbove + rowHeight * Math.max(1, lane.rows.length) }
}

/** The lane and the row of it at a height; undefined between lanes. */
export function rowAt({ lanes }: Placement, y: number): { lane: PlacedLane; row: number } | undefined {
  const lane = lanes.find((placed) => y >= placed.y && y < placed.y + placed.height)
  if (lane === undefined) return undefined
  const row = Math.floor((y - lane.rowsY) / lane.rowHeight)
  return { lane, row: Math.max(0, Math.min(row, lane.lane.rows.length - 1)) }
}

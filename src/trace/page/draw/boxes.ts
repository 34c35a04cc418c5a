/** Draws operations and calls: boxes with their names, or, where they are too short, columns as dark as the time is busy. */

import { colorOf } from "../../layout/colors.js"
import { isDimmed } from "../../layout/emphasis.js"
import type { PlacedLane } from "../../layout/geometry.js"
import { type Row, forEachBoxes, longestOf } from "../../layout/rows.js"
import { FONTS, type Scene, drawText, emphasisIn, visibleLanes, xOf, yOf } from "./scene.js"

/** Boxes that are narrower get no name. */
const NARROWEST_NAME = 26

export function drawBoxes(scene: Scene): void {
  const { context } = scene
  context.font = FONTS.box
  context.textBaseline = "middle"
  for (const lane of visibleLanes(scene)) {
    if (lane.lane.kind === "region") continue
    lane.lane.rows.forEach((row, index) => {
      drawRow(scene, row, lane, yOf(scene, lane.rowsY + index * lane.rowHeight))
    })
  }
}

function drawRow(scene: Scene, row: Row, lane: PlacedLane, y: number): void {
  const { context, state, palette } = scene
  const height = lane.rowHeight - 2
  const emphasis = emphasisIn(scene)
  const colorAt = colorsOf(scene, lane)
  const textAt = namesOf(scene, lane)
  forEachBoxes(row, state.view, (first, next) => {
    const x = xOf(scene, row.starts[first] ?? 0)
    const end = xOf(scene, row.ends[next - 1] ?? 0)
    const index = longestOf(row, first, next)
    const id = row.ids[index] ?? 0
    context.fillStyle = colorAt(id)
    const isPale = isDimmed(emphasis, row, first, next)
    context.globalAlpha = isPale ? 0.22 : next - first === 1 ? 1 : 0.4 + 0.6 * shareOf(row, first, next)
    const from = Math.max(x, scene.left - 4)
    const to = Math.min(end, scene.width + 4)
    // A gap of a pixel keeps neighbours of one colour apart, where there is room for it.
    const width = to - from > 4 ? to - from - 0.75 : Math.max(to - from, 1)
    context.fillRect(from, y, width, height)
    if (next - first > 1 || width < NARROWEST_NAME || height < 12) return
    context.fillStyle = palette.onColor
    const begin = Math.max(from, scene.left)
    drawText(context, textAt(id), begin + 5, y + height / 2 + 0.5, to - begin - 9)
  })
  context.globalAlpha = 1
}

function colorsOf({ model, palette }: Scene, lane: PlacedLane): (id: number) => string {
  if (lane.lane.kind === "call") return () => palette.call
  const { spans } = model.data
  return (id) => {
    const span = spans[id]
    return span === undefined ? palette.memory : colorOf(palette, span.kind, span.name)
  }
}

function namesOf({ model }: Scene, lane: PlacedLane): (id: number) => string {
  const { spans, calls } = model.data
  if (lane.lane.kind === "call") return (id) => calls[id]?.name ?? ""
  return (id) => {
    const span = spans[id]
    if (span === undefined) return ""
    return span.iteration === undefined ? span.name : `${span.name} [${span.iteration}]`
  }
}

/** The part of the time of some boxes in which they ran. */
function shareOf({ starts, ends, lengths }: Row, first: number, next: number): number {
  const time = (ends[next - 1] ?? 0) - (starts[first] ?? 0)
  return time === 0 ? 1 : ((lengths[next] ?? 0) - (lengths[first] ?? 0)) / time
}

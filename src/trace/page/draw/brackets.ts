/**
 * Draws fork-joins: brackets over their time, with their mode and reason; where they are too short, a bar, lower for those that ran
 * in sequence.
 */

import { isDimmed } from "../../layout/emphasis.js"
import type { PlacedLane } from "../../layout/geometry.js"
import { labelsOfRegion } from "../../layout/text/describe.js"
import { type Row, forEachBoxes, longestOf } from "../../layout/rows.js"
import { FONTS, type Scene, emphasisIn, visibleLanes, widthOf, xOf, yOf } from "./scene.js"

export function drawBrackets(scene: Scene): void {
  const { context } = scene
  context.font = FONTS.small
  context.textBaseline = "middle"
  context.lineWidth = 1.5
  for (const lane of visibleLanes(scene)) {
    if (lane.lane.kind !== "region") continue
    lane.lane.rows.forEach((row, index) => {
      drawRow(scene, row, lane, yOf(scene, lane.rowsY + index * lane.rowHeight))
    })
  }
}

function drawRow(scene: Scene, row: Row, lane: PlacedLane, top: number): void {
  const { context, state, palette, model } = scene
  const emphasis = emphasisIn(scene)
  forEachBoxes(row, state.view, (first, next) => {
    const region = model.data.regions[row.ids[longestOf(row, first, next)] ?? 0]
    if (region === undefined) return
    const x = Math.max(xOf(scene, row.starts[first] ?? 0), scene.left - 8) + 0.75
    const end = Math.min(xOf(scene, row.ends[next - 1] ?? 0), scene.width + 8) - 0.75
    const color = region.mode === "parallel" ? palette.parallel : palette.sequential
    context.globalAlpha = isDimmed(emphasis, row, first, next) ? 0.22 : 1
    context.strokeStyle = color
    context.fillStyle = color
    if (end - x < 5) {
      const modes = modesOf(scene, row, first, next)
      context.fillStyle = palette.parallel
      if (modes.has("parallel")) context.fillRect(x - 0.5, top + 3, Math.max(end - x, 1), 3)
      context.fillStyle = palette.sequential
      if (modes.has("sequential")) context.fillRect(x - 0.5, top + 8, Math.max(end - x, 1), 3)
      return
    }
    context.beginPath()
    context.moveTo(x, top + lane.rowHeight - 6)
    context.lineTo(x, top + 3.75)
    context.lineTo(end, top + 3.75)
    context.lineTo(end, top + lane.rowHeight - 6)
    context.stroke()
    const begin = Math.max(x, scene.left)
    const most = end - begin - 11
    const text = labelsOfRegion(region).find((label) => widthOf(context, label) <= most)
    if (text !== undefined) context.fillText(text, begin + 6, top + 13)
  })
  context.globalAlpha = 1
}

/** How some fork-joins ran. Looks at sixteen at most. */
function modesOf({ model }: Scene, row: Row, first: number, next: number): Set<string | undefined> {
  const step = Math.max(1, Math.floor((next - first) / 16))
  const modes = new Set<string | undefined>()
  for (let index = first; index < next; index += step) modes.add(model.data.regions[row.ids[index] ?? 0]?.mode)
  return modes
}

/**
 * Draws waits: arrows from the record to the wait, dashed where the library skipped the wait because the order was known. Those of
 * the selection are drawn even if the others are hidden.
 */

import type { TraceWait } from "../../data/data.js"
import { endsOfArrow } from "../../layout/arrows.js"
import { type Scene, xOf, yOf } from "./scene.js"

export function drawArrows(scene: Scene): void {
  const { context, palette, state, model } = scene
  const isShown = ({ sent }: TraceWait) => (sent ? state.showsWaits : state.showsSkippedWaits)
  context.lineWidth = 1.25
  context.strokeStyle = palette.wait
  context.fillStyle = palette.wait
  context.globalAlpha = 0.7
  for (const wait of model.waits.in(state.view, isShown)) drawArrow(scene, wait)
  context.globalAlpha = 1
  if (state.selection?.kind !== "span") return
  const { waitedFor, waitedBy } = model.relations.of(state.selection.index)
  context.lineWidth = 2
  context.strokeStyle = palette.selected
  context.fillStyle = palette.selected
  for (const index of [...waitedFor, ...waitedBy]) {
    const wait = model.data.waits[index]
    if (wait !== undefined) drawArrow(scene, wait)
  }
}

/** From a dot at the record to a head at the wait. It is a straight line where both are at one time. */
function drawArrow(scene: Scene, { from, to, sent }: TraceWait): void {
  const { context, model, placement } = scene
  const source = placement.lanes[model.laneOfStream.get(from.stream) ?? -1]
  const target = placement.lanes[model.laneOfStream.get(to.stream) ?? -1]
  if (source === undefined || target === undefined) return
  const [x, end] = [xOf(scene, from.time), xOf(scene, to.time)]
  const ends = endsOfArrow(source, target)
  const [y, endY, headY] = [yOf(scene, ends.y), yOf(scene, ends.endY), yOf(scene, ends.headY)]
  const middle = (y + endY) / 2
  context.setLineDash(sent ? [] : [4, 3])
  context.beginPath()
  context.moveTo(x, y)
  context.bezierCurveTo(x, middle, end, middle, end, headY)
  context.stroke()
  context.setLineDash([])
  context.beginPath()
  context.arc(x, y, 2, 0, 2 * Math.PI)
  context.moveTo(end, endY)
  context.lineTo(end - 3.5, headY)
  context.lineTo(end + 3.5, headY)
  context.fill()
}

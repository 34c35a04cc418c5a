/**
 * Draws waits: arrows from the record to the wait; dashed where the library skipped the wait because the order was known. Where
 * many arrows are close together, one stands for them.
 */

import type { TraceWait } from "../../data/data.js"
import type { PlacedLane } from "../../layout/geometry.js"
import { firstAbove, firstAtOrAbove } from "../../layout/rows.js"
import { type Scene, xOf, yOf } from "./scene.js"

/** Between arrows of the same two lanes, in pixels. */
const NEAREST = 6
/** Where there are more arrows, on average, none is drawn: they would hide the lanes and tell nothing. */
const DENSEST = 12

export function drawArrows(scene: Scene): void {
  const { context, palette, state, model } = scene
  const visible = visibleWaits(scene)
  const counts = new Map<number, number>()
  for (const wait of visible) counts.set(pairOf(wait), (counts.get(pairOf(wait)) ?? 0) + 1)
  const lastX = new Map<number, number>()
  context.lineWidth = 1.25
  context.strokeStyle = palette.wait
  context.fillStyle = palette.wait
  context.globalAlpha = 0.7
  for (const wait of visible) {
    const pair = pairOf(wait)
    const x = xOf(scene, wait.from.time)
    if ((counts.get(pair) ?? 0) * DENSEST > state.view.width || x - (lastX.get(pair) ?? -Infinity) < NEAREST) continue
    lastX.set(pair, x)
    drawArrow(scene, wait)
  }
  context.globalAlpha = 1
  if (model.data.waits.length > 0) drawOwn(scene)
}

/** The waits in view that the reader wants to see, in the order of their records. */
function visibleWaits({ model, state }: Scene): TraceWait[] {
  const { from, latest, ids } = model.waits
  const first = firstAbove(latest, state.view.from)
  const next = firstAtOrAbove(from, state.view.to)
  const found: TraceWait[] = []
  for (let index = first; index < next; index++) {
    const wait = model.data.waits[ids[index] ?? 0]
    if (wait !== undefined && (wait.sent ? state.showsWaits : state.showsSkippedWaits)) found.push(wait)
  }
  return found
}

/** A number for the two streams of a wait. */
const pairOf = ({ from, to }: TraceWait) => from.stream * 65_536 + to.stream

/** The arrows of the selected operation, shown even if others are hidden. */
function drawOwn(scene: Scene): void {
  const { context, palette, model, state } = scene
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

/** From a dot at the record to a head at the wait. It leaves and arrives upright, so it is a line where both are at one time. */
function drawArrow(scene: Scene, { from, to, sent }: TraceWait): void {
  const [source, target] = [laneOf(scene, from.stream), laneOf(scene, to.stream)]
  if (source === undefined || target === undefined || source === target) return
  const { context } = scene
  const [x, end] = [xOf(scene, from.time), xOf(scene, to.time)]
  if (end < scene.left - 20) return
  const isDown = target.y > source.y
  const y = edgeOf(scene, source, isDown)
  const endY = edgeOf(scene, target, !isDown) + (isDown ? -1 : 1)
  const head = isDown ? -6 : 6
  const middle = (y + endY) / 2
  context.setLineDash(sent ? [] : [4, 3])
  context.beginPath()
  context.moveTo(x, y)
  context.bezierCurveTo(x, middle, end, middle, end, endY + head)
  context.stroke()
  context.setLineDash([])
  context.beginPath()
  context.arc(x, y, 2, 0, 2 * Math.PI)
  context.moveTo(end, endY)
  context.lineTo(end - 3.5, endY + head)
  context.lineTo(end + 3.5, endY + head)
  context.fill()
}

function laneOf({ model, placement }: Scene, stream: number): PlacedLane | undefined {
  return placement.lanes[model.laneOfStream.get(stream) ?? -1]
}

/** The lower or the upper edge of a lane's first row. */
function edgeOf(scene: Scene, lane: PlacedLane, isLower: boolean): number {
  return yOf(scene, isLower ? lane.rowsY + lane.rowHeight - 2 : lane.rowsY)
}

/** Draws what surrounds the boxes: labels of lanes and groups, lines of time, the axis, and the selection. */

import { intervalOf } from "../../layout/text/describe.js"
import type { Item } from "../../layout/search.js"
import { type Tick, ticksOf } from "../../layout/ticks.js"
import { AXIS_HEIGHT, FONTS, OVERVIEW_HEIGHT, type Scene, drawText, visibleLanes, xOf, yOf } from "./scene.js"

export function ticksIn({ state }: Scene): Tick[] {
  return ticksOf(state.view, 110)
}

/** The background: a band for each group's head, and a line at each mark of the axis. */
export function drawBackground(scene: Scene, ticks: readonly Tick[]): void {
  const { context, palette, placement, width, height } = scene
  context.fillStyle = palette.background
  context.fillRect(0, 0, width, height)
  context.fillStyle = palette.line
  for (const { x } of ticks) context.fillRect(Math.round(scene.left + x), scene.top, 1, height)
  for (const { y } of placement.lanes) context.fillRect(0, Math.round(yOf(scene, y)), width, 1)
  for (const { y } of placement.groups) drawGroupBand(scene, yOf(scene, y))
}

function drawGroupBand({ context, palette, width, placement }: Scene, y: number): void {
  const height = (placement.lanes[0]?.y ?? 30) - 1
  context.fillStyle = palette.raised
  context.fillRect(0, y, width, height)
}

/** Shades the time of the fork-join that is selected, or under the pointer, over the lanes of its streams. */
export function drawRegionShade(scene: Scene): void {
  const { state, model, context, palette, placement } = scene
  const item = [state.hover?.item, state.selection].find((candidate) => candidate?.kind === "region")
  const region = item === undefined ? undefined : model.data.regions[item.index]
  if (item === undefined || region === undefined) return
  const { start, end } = intervalOf(model.data, item)
  context.globalAlpha = 0.12
  context.fillStyle = region.mode === "parallel" ? palette.parallel : palette.sequential
  for (const stream of region.streams) {
    const lane = placement.lanes[model.laneOfStream.get(stream) ?? -1]
    if (lane === undefined) continue
    context.fillRect(xOf(scene, start), yOf(scene, lane.y), xOf(scene, end) - xOf(scene, start), lane.height)
  }
  context.globalAlpha = 1
}

/** Outlines the selection, and more lightly the thing under the pointer. */
export function drawOutlines(scene: Scene): void {
  const { state, palette } = scene
  const hover = state.hover?.item
  if (hover !== undefined && state.hover?.count === 1) drawOutline(scene, hover, palette.muted, 1)
  if (state.selection !== undefined) drawOutline(scene, state.selection, palette.selected, 2.5)
}

function drawOutline(scene: Scene, item: Item, color: string, width: number): void {
  const { context, model, placement } = scene
  const { lane, row } = model.placeOf(item)
  const placed = placement.lanes[lane]
  if (placed === undefined) return
  const { start, end } = model.intervalOf(item)
  const x = xOf(scene, start)
  context.strokeStyle = color
  context.lineWidth = width
  const y = yOf(scene, placed.rowsY + row * placed.rowHeight)
  context.strokeRect(x - 0.5, y - 0.5, Math.max(xOf(scene, end) - x, 2) + 0.25, placed.rowHeight - 1)
}

/** The names of lanes and groups: beside the lanes, or above them where there is no room beside. */
export function drawLabels(scene: Scene): void {
  const { context, palette, placement, left, height, top } = scene
  if (left > 0) {
    context.fillStyle = palette.background
    context.fillRect(0, top, left, height)
    context.fillStyle = palette.line
    context.fillRect(left - 1, top, 1, height)
    for (const { y } of placement.lanes) context.fillRect(0, Math.round(yOf(scene, y)), left, 1)
  }
  context.textBaseline = "middle"
  for (const lane of visibleLanes(scene)) {
    context.fillStyle = lane.lane.isBranch ? palette.muted : palette.text
    context.font = left > 0 && !lane.lane.isBranch ? FONTS.label : FONTS.small
    const label = lane.lane.isBranch ? `↳ ${lane.lane.label}` : lane.lane.label
    const y = left > 0 ? lane.rowsY + lane.rowHeight / 2 - 1 : lane.y + 11
    const indent = lane.lane.isBranch ? 22 : 12
    drawText(context, label, indent, yOf(scene, y), (left > 0 ? left : scene.width) - indent - 8)
  }
  for (const { group, y } of placement.groups) drawGroupLabel(scene, group.label, group.detail, yOf(scene, y))
}

function drawGroupLabel(scene: Scene, label: string, detail: string, y: number): void {
  const { context, palette, width } = scene
  drawGroupBand(scene, y)
  context.font = FONTS.group
  context.fillStyle = palette.text
  context.fillText(label, 12, y + 15)
  const indent = 12 + context.measureText(label).width + 10
  context.font = FONTS.small
  context.fillStyle = palette.muted
  drawText(context, detail, indent, y + 15.5, width - indent - 8)
}

export function drawAxis(scene: Scene, ticks: readonly Tick[]): void {
  const { context, palette, left, width } = scene
  context.fillStyle = palette.background
  context.fillRect(0, OVERVIEW_HEIGHT, width, AXIS_HEIGHT)
  context.fillStyle = palette.line
  context.fillRect(0, OVERVIEW_HEIGHT + AXIS_HEIGHT - 1, width, 1)
  context.font = FONTS.small
  context.textBaseline = "middle"
  for (const { x, label } of ticks) {
    context.fillStyle = palette.line
    context.fillRect(Math.round(left + x), OVERVIEW_HEIGHT + 4, 1, AXIS_HEIGHT - 4)
    context.fillStyle = palette.muted
    context.fillText(label, left + x + 5, OVERVIEW_HEIGHT + AXIS_HEIGHT / 2 + 0.5)
  }
  if (left === 0) return
  context.fillStyle = palette.background
  context.fillRect(0, OVERVIEW_HEIGHT, left, AXIS_HEIGHT - 1)
}

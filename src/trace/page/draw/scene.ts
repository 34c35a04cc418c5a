/** All that drawing one frame needs, and drawing text that fits. */

import type { Emphasis } from "../../layout/emphasis.js"
import type { Palette } from "../../layout/colors.js"
import type { Placement } from "../../layout/geometry.js"
import { xAt } from "../../layout/view.js"
import type { Model } from "../model.js"
import type { State } from "../state.js"

export interface Scene {
  readonly context: CanvasRenderingContext2D
  readonly palette: Palette
  readonly model: Model
  readonly state: State
  readonly placement: Placement
  /** The size of the canvas, in CSS pixels. */
  readonly width: number
  readonly height: number
  /** Where the time begins: right of the labels, below the overview and the axis. */
  readonly left: number
  readonly top: number
}

export const OVERVIEW_HEIGHT = 36
export const AXIS_HEIGHT = 22

const FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
export const FONTS = {
  box: `11.5px ${FAMILY}`,
  label: `12.5px ${FAMILY}`,
  small: `11px ${FAMILY}`,
  group: `600 12.5px ${FAMILY}`,
}

/** What stands out: the hits of the search, otherwise the critical path if it is shown. */
export function emphasisIn({ state, model }: Scene): Emphasis | undefined {
  return state.search?.emphasis ?? (state.showsPath ? model.path : undefined)
}

/** The x of a time on the canvas. */
export const xOf = ({ left, state }: Scene, time: number): number => left + xAt(state.view, time)

/** The y on the canvas of a height among the lanes. */
export const yOf = ({ top, state }: Scene, y: number): number => top + y - state.scroll

/** The lanes that are at least partly visible. */
export function visibleLanes(scene: Scene): Placement["lanes"] {
  return scene.placement.lanes.filter((lane) => {
    const y = yOf(scene, lane.y)
    return y < scene.height && y + lane.height > scene.top
  })
}

const widths = new Map<string, number>()

/** Draws text, cut with an ellipsis if it is too wide. Draws nothing where not even three letters fit. */
export function drawText(context: CanvasRenderingContext2D, text: string, x: number, y: number, most: number): void {
  const width = widthOf(context, text)
  if (width <= most) {
    context.fillText(text, x, y)
    return
  }
  const letters = Math.floor((text.length * (most - 8)) / width)
  if (letters >= 3) context.fillText(`${text.slice(0, letters)}…`, x, y)
}

/** The width of a text. Measuring is slow, and names repeat. */
export function widthOf(context: CanvasRenderingContext2D, text: string): number {
  const key = `${context.font}\n${text}`
  const known = widths.get(key)
  if (known !== undefined) return known
  const { width } = context.measureText(text)
  if (widths.size > 20_000) widths.clear()
  widths.set(key, width)
  return width
}

/**
 * Draws the whole trace in a strip: how busy the streams are together, the part beyond one stream in the colour of parallel work;
 * and in it the part that is in view. The bars are drawn once and kept.
 */

import type { Palette } from "../../layout/colors.js"
import { busyShare } from "../../layout/rows.js"
import { type View, fit, timeAt, xAt } from "../../layout/view.js"
import type { Model } from "../model.js"
import { FONTS, OVERVIEW_HEIGHT, type Scene } from "./scene.js"

/** The view of the strip: everything. */
export function overviewOf(scene: { readonly model: Model; readonly left: number; readonly width: number }): View {
  return fit(scene.model.limits, scene.width - scene.left)
}

export class Overview {
  #bars: HTMLCanvasElement | undefined
  #key = ""

  draw(scene: Scene, pixelRatio: number): void {
    const { context, palette, left, width } = scene
    context.fillStyle = palette.raised
    context.fillRect(0, 0, width, OVERVIEW_HEIGHT)
    context.drawImage(this.#barsOf(scene, pixelRatio), left, 0, width - left, OVERVIEW_HEIGHT)
    const strip = overviewOf(scene)
    this.#drawHits(scene, strip)
    const from = left + xAt(strip, scene.state.view.from)
    const to = left + xAt(strip, scene.state.view.to)
    context.fillStyle = palette.background
    context.globalAlpha = 0.65
    context.fillRect(left, 0, from - left, OVERVIEW_HEIGHT)
    context.fillRect(to, 0, width - to, OVERVIEW_HEIGHT)
    context.globalAlpha = 1
    context.strokeStyle = palette.selected
    context.lineWidth = 1.5
    context.strokeRect(from + 0.75, 0.75, Math.max(to - from - 1.5, 2), OVERVIEW_HEIGHT - 1.5)
    if (left === 0) return
    context.font = FONTS.small
    context.textBaseline = "middle"
    context.fillStyle = palette.muted
    context.fillText("busy streams", 12, OVERVIEW_HEIGHT / 2 + 0.5)
  }

  #drawHits({ context, palette, state, model, left }: Scene, strip: View): void {
    context.fillStyle = palette.selected
    let last = -1
    for (const item of state.search?.hits ?? []) {
      const x = Math.round(left + xAt(strip, model.intervalOf(item).start))
      if (x === last) continue
      context.fillRect(x, OVERVIEW_HEIGHT - 6, 1.5, 6)
      last = x
    }
  }

  #barsOf(scene: Scene, pixelRatio: number): HTMLCanvasElement {
    const columns = Math.max(1, Math.round(scene.width - scene.left))
    const key = `${columns} ${pixelRatio} ${scene.palette.background}`
    if (this.#bars !== undefined && this.#key === key) return this.#bars
    const canvas = document.createElement("canvas")
    canvas.width = columns * pixelRatio
    canvas.height = OVERVIEW_HEIGHT * pixelRatio
    const context = canvas.getContext("2d")
    if (context !== null) {
      context.scale(pixelRatio, pixelRatio)
      drawBars(context, scene.model, scene.palette, overviewOf(scene))
    }
    this.#key = key
    this.#bars = canvas
    return canvas
  }
}

function drawBars(context: CanvasRenderingContext2D, model: Model, palette: Palette, strip: View): void {
  const rows = model.lanes.flatMap((lane) => (lane.kind === "span" ? lane.rows.slice(0, 1) : []))
  const busy = Float64Array.from({ length: strip.width }, (_, x) => {
    const [start, end] = [timeAt(strip, x), timeAt(strip, x + 1)]
    return rows.reduce((sum, row) => sum + busyShare(row, start, end), 0)
  })
  const most = busy.reduce((a, b) => Math.max(a, b), 2)
  const height = (streams: number) => (streams / most) * (OVERVIEW_HEIGHT - 6)
  busy.forEach((streams, x) => {
    context.fillStyle = palette.memory
    context.fillRect(x, OVERVIEW_HEIGHT - height(Math.min(streams, 1)), 1, height(Math.min(streams, 1)))
    if (streams <= 1) return
    context.fillStyle = palette.parallel
    context.fillRect(x, OVERVIEW_HEIGHT - height(streams), 1, height(streams - 1))
  })
}

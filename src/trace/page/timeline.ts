/** The canvas: keeps its size, draws at most once a frame, and finds the thing at a place. */

import { DARK, LIGHT, type Palette } from "../layout/colors.js"
import { NARROW, type Placement, WIDE, place } from "../layout/geometry.js"
import { type Hit, hitAt } from "../layout/hit.js"
import { drawArrows } from "./draw/arrows.js"
import { drawBoxes } from "./draw/boxes.js"
import { drawBrackets } from "./draw/brackets.js"
import { drawAxis, drawBackground, drawLabels, drawOutlines, drawRegionShade, ticksIn } from "./draw/frame.js"
import { Overview } from "./draw/overview.js"
import { AXIS_HEIGHT, OVERVIEW_HEIGHT, type Scene } from "./draw/scene.js"
import type { Model } from "./model.js"
import type { Store } from "./state.js"

const TOP = OVERVIEW_HEIGHT + AXIS_HEIGHT
/** Narrower canvases have the names of lanes above the lanes. */
const NARROWEST_WITH_LABELS = 640
const LABELS = 190

export class Timeline {
  readonly canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #model: Model
  readonly #store: Store
  readonly #overview = new Overview()
  #width = 0
  #height = 0
  #placement: Placement
  #isScheduled = false

  constructor(canvas: HTMLCanvasElement, model: Model, store: Store) {
    const context = canvas.getContext("2d", { alpha: false })
    if (context === null) throw new Error("This browser has no canvas.")
    this.canvas = canvas
    this.#context = context
    this.#model = model
    this.#store = store
    this.#placement = place(model.groups, WIDE)
    store.listen(() => this.schedule())
  }

  /** Where the time begins: the width of the labels, or 0. */
  get left(): number {
    return this.#width < NARROWEST_WITH_LABELS ? 0 : LABELS
  }

  /** Where the lanes begin. */
  get top(): number {
    return TOP
  }

  /** The width of the time. */
  get timeWidth(): number {
    return Math.max(1, this.#width - this.left)
  }

  get placement(): Placement {
    return this.#placement
  }

  /** How far the lanes can be scrolled. */
  get mostScroll(): number {
    return Math.max(0, this.#placement.height + TOP - this.#height)
  }

  /** The height that shows all lanes. */
  get fullHeight(): number {
    return this.#placement.height + TOP
  }

  /** Takes the size that the page gave to the canvas, or another height, and draws. */
  resize(height = this.canvas.clientHeight): void {
    const { clientWidth } = this.canvas
    if (clientWidth === 0) return
    this.#width = clientWidth
    this.#placement = place(this.#model.groups, this.left > 0 ? WIDE : NARROW)
    this.#height = height
    this.canvas.width = Math.round(clientWidth * devicePixelRatio)
    this.canvas.height = Math.round(height * devicePixelRatio)
    const { view, scroll } = this.#store.state
    this.#store.set({ view: { ...view, width: this.timeWidth }, scroll: Math.min(scroll, this.mostScroll) })
    this.draw()
  }

  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    requestAnimationFrame(() => {
      this.#isScheduled = false
      this.draw()
    })
  }

  draw(): void {
    const context = this.#context
    const { isDark } = this.#store.state
    const palette: Palette = isDark ? DARK : LIGHT
    const scene: Scene = {
      ...{ context, palette, model: this.#model, state: this.#store.state, placement: this.#placement },
      ...{ width: this.#width, height: this.#height, left: this.left, top: TOP },
    }
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    const ticks = ticksIn(scene)
    drawBackground(scene, ticks)
    drawRegionShade(scene)
    drawBoxes(scene)
    drawBrackets(scene)
    drawArrows(scene)
    drawOutlines(scene)
    drawLabels(scene)
    this.#drawScrollBar(scene)
    drawAxis(scene, ticks)
    this.#overview.draw(scene, devicePixelRatio)
  }

  /** The thing at a place of the canvas; undefined outside the lanes. */
  hitAt(x: number, y: number): Hit | undefined {
    if (x < this.left || y < TOP) return undefined
    const { view, scroll } = this.#store.state
    return hitAt(this.#placement, view, x - this.left, y - TOP + scroll)
  }

  #drawScrollBar({ context, palette, state }: Scene): void {
    if (this.mostScroll === 0) return
    const height = this.#height - TOP
    const length = (height * height) / this.#placement.height
    const y = TOP + (state.scroll / this.mostScroll) * (height - length)
    context.fillStyle = palette.muted
    context.globalAlpha = 0.5
    context.fillRect(this.#width - 5, y + 2, 3, length - 4)
    context.globalAlpha = 1
  }
}

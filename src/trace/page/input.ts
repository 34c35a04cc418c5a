/** Pointer, wheel and keys on the timeline. */

import type { Hit } from "../layout/hit.js"
import { timeAt } from "../layout/view.js"
import type { Actions } from "./actions.js"
import { OVERVIEW_HEIGHT } from "./draw/scene.js"
import { overviewOf } from "./draw/overview.js"
import type { Model } from "./model.js"
import type { Store } from "./state.js"
import type { Timeline } from "./timeline.js"

/** A pointer that moved less, in pixels, has clicked. */
const CLICK = 4
const WHEEL_LINE = 16

interface Pointer {
  x: number
  y: number
}

export class Input {
  readonly #model: Model
  readonly #store: Store
  readonly #timeline: Timeline
  readonly #actions: Actions
  readonly #pointers = new Map<number, Pointer>()
  /** How far the first pointer was moved since it went down. */
  #moved = 0
  #dragsOverview = false
  /** Where the mouse is, if it is over the timeline. */
  #last: Pointer | undefined

  constructor(model: Model, store: Store, timeline: Timeline, actions: Actions) {
    this.#model = model
    this.#store = store
    this.#timeline = timeline
    this.#actions = actions
    const { canvas } = timeline
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
    canvas.addEventListener("pointerdown", (event) => this.#down(event))
    canvas.addEventListener("pointermove", (event) => this.#move(event))
    canvas.addEventListener("pointerup", (event) => this.#up(event))
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId))
    canvas.addEventListener("pointerleave", () => {
      this.#last = undefined
      this.#hover(undefined)
    })
    store.listen(({ view, scroll }, before) => {
      if (view !== before.view || scroll !== before.scroll) this.#hoverAgain()
    })
    canvas.addEventListener("dblclick", (event) => this.#doubleClick(event))
  }

  /** The wheel zooms, sideways or with Shift it moves; over the labels it scrolls the lanes. */
  #wheel(event: WheelEvent): void {
    event.preventDefault()
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? WHEEL_LINE : 1
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit]
    const x = event.offsetX - this.#timeline.left
    if (x < 0) this.#actions.scrollBy(dy)
    else if (event.shiftKey) this.#actions.panBy(dx + dy)
    else if (Math.abs(dx) > Math.abs(dy)) this.#actions.panBy(dx)
    // A pinch on a touchpad comes as a wheel with Ctrl and small steps.
    else this.#actions.zoomBy(Math.exp(-dy * (event.ctrlKey ? 0.01 : 0.002)), x)
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return
    this.#timeline.canvas.setPointerCapture(event.pointerId)
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY })
    if (this.#pointers.size > 1) return
    this.#moved = 0
    this.#dragsOverview = event.offsetY < OVERVIEW_HEIGHT && event.offsetX >= this.#timeline.left
    if (this.#dragsOverview) this.#centerOn(event.offsetX)
  }

  #move(event: PointerEvent): void {
    const pointer = this.#pointers.get(event.pointerId)
    const { offsetX: x, offsetY: y } = event
    if (pointer === undefined) {
      this.#last = event.pointerType === "mouse" ? { x, y } : undefined
      this.#hoverAgain()
      return
    }
    const before = { ...pointer }
    this.#moved += Math.abs(x - before.x) + Math.abs(y - before.y)
    pointer.x = x
    pointer.y = y
    if (this.#pointers.size === 2) this.#pinch(event.pointerId, before, pointer)
    else if (this.#dragsOverview) this.#centerOn(x)
    else if (this.#moved >= CLICK) this.#drag(before.x - x, before.y - y)
  }

  /** Looks again for the thing under the pointer, because the pointer or the drawing may have moved. */
  #hoverAgain(): void {
    if (this.#last !== undefined && this.#pointers.size === 0)
      this.#hover(this.#timeline.hitAt(this.#last.x, this.#last.y))
  }

  #hover(hit: Hit | undefined): void {
    const before = this.#store.state.hover
    const isSame = before?.item.kind === hit?.item.kind && before?.item.index === hit?.item.index
    if (!isSame || before?.count !== hit?.count) this.#store.set({ hover: hit })
  }

  #drag(dx: number, dy: number): void {
    this.#hover(undefined)
    this.#actions.panBy(dx)
    if (this.#timeline.mostScroll > 0) this.#actions.scrollBy(dy)
  }

  /** Two fingers: what was under each stays there. */
  #pinch(id: number, before: Pointer, now: Pointer): void {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1]
    if (other === undefined) return
    const [distance, newDistance] = [Math.abs(before.x - other.x), Math.abs(now.x - other.x)]
    const middle = (before.x + other.x) / 2 - this.#timeline.left
    if (distance > 10 && newDistance > 10) this.#actions.zoomBy(newDistance / distance, middle)
    this.#actions.panBy((before.x - now.x) / 2)
  }

  #up(event: PointerEvent): void {
    const wasPressed = this.#pointers.delete(event.pointerId)
    if (!wasPressed || this.#pointers.size > 0 || this.#dragsOverview || this.#moved >= CLICK) return
    this.#actions.select(this.#timeline.hitAt(event.offsetX, event.offsetY)?.item)
  }

  #doubleClick(event: MouseEvent): void {
    const hit = this.#timeline.hitAt(event.offsetX, event.offsetY)
    if (hit === undefined) return
    this.#actions.select(hit.item)
    this.#actions.fitSelection()
  }

  #centerOn(x: number): void {
    const { left, timeWidth } = this.#timeline
    const strip = overviewOf({ model: this.#model, left, width: left + timeWidth })
    this.#actions.centerOn(timeAt(strip, x - left))
  }
}

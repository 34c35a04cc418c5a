/** Describes the thing under the pointer, beside it. */

import { describe } from "../../layout/text/describe.js"
import { formatCount, formatTime } from "../../layout/text/times.js"
import { byId, make } from "../dom.js"
import type { Model } from "../model.js"
import type { Store } from "../state.js"

export class Tooltip {
  readonly #box = byId("tooltip", HTMLElement)

  constructor(model: Model, store: Store, canvas: HTMLCanvasElement) {
    canvas.addEventListener("pointermove", (event) => this.#moveTo(event.clientX, event.clientY))
    store.listen(({ hover }, before) => {
      if (hover === before.hover) return
      this.#box.hidden = hover === undefined
      if (hover === undefined || hover.item === before.hover?.item) return
      const { title, subtitle, facts } = describe(model.data, hover.item, model.figures)
      const list = make("dl", "facts")
      for (const [name, value] of facts) list.append(make("div", "", make("dt", "", name), make("dd", "", value)))
      this.#box.replaceChildren(make("b", "", title), make("p", "", subtitle), list)
      if (hover.count === 1) return
      const more = `and ${formatCount(hover.count - 1)} more in ${formatTime(hover.end - hover.start)}; zoom in to see them`
      this.#box.append(make("p", "more", more))
    })
  }

  /** Places the box beside the pointer, on the side where it fits. */
  #moveTo(x: number, y: number): void {
    const { offsetWidth, offsetHeight } = this.#box
    const left = x + 16 + offsetWidth > innerWidth ? x - 12 - offsetWidth : x + 16
    const top = y + 16 + offsetHeight > innerHeight ? y - 12 - offsetHeight : y + 16
    this.#box.style.left = `${Math.max(4, left)}px`
    this.#box.style.top = `${Math.max(4, top)}px`
  }
}

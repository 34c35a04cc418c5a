/** What the reader can do, by whatever key, button or gesture. */

import { emphasisOf } from "../layout/emphasis.js"
import type { Row } from "../layout/rows.js"
import { type Item, find } from "../layout/search.js"
import { fit, pan, reveal, show, xAt, zoom } from "../layout/view.js"
import type { Model } from "./model.js"
import type { State, Store } from "./state.js"
import type { Timeline } from "./timeline.js"

export class Actions {
  readonly #model: Model
  readonly #store: Store
  readonly #timeline: Timeline

  constructor(model: Model, store: Store, timeline: Timeline) {
    this.#model = model
    this.#store = store
    this.#timeline = timeline
  }

  /** Zooms around a place of the time, by default its middle, or the selection if that is in view. */
  zoomBy(factor: number, x = this.#center()): void {
    this.#store.set({ view: zoom(this.#store.state.view, factor, x, this.#model.limits) })
  }

  /** Moves by pixels. */
  panBy(pixels: number): void {
    this.#store.set({ view: pan(this.#store.state.view, pixels, this.#model.limits) })
  }

  scrollBy(pixels: number): void {
    this.#scrollTo(this.#store.state.scroll + pixels)
  }

  /** Puts the middle of the view at a time. */
  centerOn(time: number): void {
    const { view } = this.#store.state
    this.panBy(xAt(view, time) - view.width / 2)
  }

  fitAll(): void {
    this.#store.set({ view: fit(this.#model.limits, this.#timeline.timeWidth) })
  }

  /** Shows the selection in the middle; everything if nothing is selected. */
  fitSelection(): void {
    const { selection, view } = this.#store.state
    if (selection === undefined) return this.fitAll()
    const { start, end } = this.#model.intervalOf(selection)
    this.#store.set({ view: show(view, start, end, this.#model.limits) })
  }

  select(selection: Item | undefined): void {
    this.#store.set({ selection })
  }

  /** Selects an item and moves it into view. */
  goTo(item: Item): void {
    const { start, end } = this.#model.intervalOf(item)
    const view = reveal(this.#store.state.view, start, end, this.#model.limits)
    this.#store.set({ selection: item, view, shows: "timeline" })
    const lane = this.#timeline.placement.lanes[this.#model.placeOf(item).lane]
    if (lane === undefined) return
    const { scroll } = this.#store.state
    const visible = this.#timeline.fullHeight - this.#timeline.mostScroll - this.#timeline.top
    if (lane.y < scroll || lane.y + lane.height > scroll + visible)
      this.#scrollTo(lane.y + lane.height / 2 - visible / 2)
  }

  /** Selects the operation before (−1) or after (1) the selected one on its lane; without a selection, the first in view. */
  step(by: -1 | 1): void {
    const { selection, view } = this.#store.state
    if (selection === undefined) {
      const row = this.#model.lanes.find((lane) => lane.kind === "span")?.rows[0]
      const index = row?.ends.findIndex((end) => end > view.from)
      const first = row?.ids[Math.max(0, index ?? 0)]
      if (first !== undefined) this.goTo({ kind: "span", index: first })
      return
    }
    const { lane, row } = this.#model.placeOf(selection)
    const ids = this.#model.lanes[lane]?.rows[row]?.ids
    const next = ids?.[ids.indexOf(selection.index) + by]
    if (next !== undefined) this.goTo({ kind: selection.kind, index: next })
  }

  /** Selects what runs at the same time on the row above (−1) or below (1). */
  stepLane(by: -1 | 1): void {
    const { selection } = this.#store.state
    if (selection === undefined) return this.step(1)
    const { start, end } = this.#model.intervalOf(selection)
    const rows = this.#model.lanes.flatMap((lane) => lane.rows.map((row) => ({ row, kind: lane.kind })))
    const place = this.#model.placeOf(selection)
    const current = rows.findIndex(({ row }) => row === this.#model.lanes[place.lane]?.rows[place.row])
    for (let index = current + by; index >= 0 && index < rows.length; index += by) {
      const found = rows[index]
      const nearest = found === undefined ? -1 : nearestIn(found.row, (start + end) / 2)
      if (found !== undefined && nearest >= 0)
        return this.goTo({ kind: found.kind, index: found.row.ids[nearest] ?? 0 })
    }
  }

  search(text: string): void {
    const hits = find(this.#model.data, text)
    const search =
      text.trim() === "" ? undefined : { text, hits, current: -1, emphasis: emphasisOf(this.#model.lanes, hits) }
    this.#store.set({ search })
  }

  /** Selects the next (1) or previous (−1) hit, around the ends; the first time, the first one in view or behind it. */
  nextHit(by: -1 | 1): void {
    const { search, view } = this.#store.state
    if (search === undefined || search.hits.length === 0) return
    const count = search.hits.length
    const inView = search.hits.findIndex((hit) => this.#model.intervalOf(hit).end >= view.from)
    const start = by > 0 ? Math.max(0, inView) : inView - 1
    const current = search.current < 0 ? (start + count) % count : (search.current + by + count) % count
    this.#store.set({ search: { ...search, current } })
    const hit = search.hits[current]
    if (hit !== undefined) this.goTo(hit)
  }

  /** Closes open things, one at a time: the search, then the selection. */
  escape(): void {
    const { search, selection } = this.#store.state
    if (search !== undefined) this.#store.set({ search: undefined })
    else if (selection !== undefined) this.#store.set({ selection: undefined })
  }

  toggle(name: "showsWaits" | "showsSkippedWaits" | "showsPath" | "isDark"): void {
    this.#store.set({ [name]: !this.#store.state[name] } satisfies Partial<State>)
  }

  toggleTable(): void {
    this.#store.set({ shows: this.#store.state.shows === "table" ? "timeline" : "table" })
  }

  #scrollTo(pixels: number): void {
    this.#store.set({ scroll: Math.max(0, Math.min(pixels, this.#timeline.mostScroll)) })
  }

  #center(): number {
    const { selection, view } = this.#store.state
    if (selection === undefined) return view.width / 2
    const { start, end } = this.#model.intervalOf(selection)
    const x = xAt(view, (start + end) / 2)
    return x >= 0 && x <= view.width ? x : view.width / 2
  }
}

/** The box of a row at a time, or else the nearest one. */
function nearestIn({ starts, ends }: Row, time: number): number {
  const distance = (index: number) => Math.max((starts[index] ?? 0) - time, time - (ends[index] ?? 0), 0)
  const after = ends.findIndex((end) => end > time)
  const candidates = (after < 0 ? [ends.length - 1] : [after - 1, after]).filter((index) => index >= 0)
  return candidates.reduce((best, index) => (distance(index) < distance(best) ? index : best), candidates[0] ?? -1)
}

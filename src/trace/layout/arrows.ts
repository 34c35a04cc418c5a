/**
 * The arrows of waits: which of them are drawn, and from where to where. Where the arrows of two lanes are close together, one
 * stands for its neighbours; where they would hide the lanes, none is drawn.
 */

import type { TraceData, TraceWait } from "../data/data.js"
import type { PlacedLane } from "./geometry.js"
import { firstAbove, firstAtOrAbove } from "./rows.js"
import { type View, xAt } from "./view.js"

/** Between arrows of the same two lanes, in pixels. */
const NEAREST = 9
/** With less room for each arrow, on average, in pixels, none is drawn. */
const DENSEST = 12

/** The waits of a trace in the order of their records. */
export class WaitIndex {
  readonly #waits: readonly TraceWait[]
  readonly #from: Float64Array
  /** The latest end of all waits up to each one. It grows, so it can be searched. */
  readonly #latest: Float64Array

  constructor({ waits }: TraceData) {
    this.#waits = [...waits].sort((a, b) => a.from.time - b.from.time)
    this.#from = Float64Array.from(this.#waits, ({ from }) => from.time)
    let last = -Infinity
    this.#latest = Float64Array.from(this.#waits, ({ to }) => (last = Math.max(last, to.time)))
  }

  /** The waits to draw, in the order of their records. */
  in(view: View, isShown: (wait: TraceWait) => boolean): TraceWait[] {
    const first = firstAbove(this.#latest, view.from)
    const next = firstAtOrAbove(this.#from, view.to)
    const visible = this.#waits
      .slice(first, next)
      .filter((wait) => wait.from.stream !== wait.to.stream && isShown(wait))
    const counts = new Map<number, number>()
    for (const wait of visible) counts.set(pairOf(wait), (counts.get(pairOf(wait)) ?? 0) + 1)
    const lastX = new Map<number, number>()
    return visible.filter((wait) => {
      const pair = pairOf(wait)
      const x = xAt(view, wait.from.time)
      if ((counts.get(pair) ?? 0) * DENSEST > view.width || x - (lastX.get(pair) ?? -Infinity) < NEAREST) return false
      lastX.set(pair, x)
      return true
    })
  }
}

/** A number for the two streams of a wait. */
const pairOf = ({ from, to }: TraceWait) => from.stream * 65_536 + to.stream

/** Where an arrow begins and ends, from top to bottom. It leaves and arrives upright. */
export interface ArrowEnds {
  readonly y: number
  readonly endY: number
  /** Where the arrow's head begins. */
  readonly headY: number
}

/** From the middle of one lane's first row to the edge of another one's. */
export function endsOfArrow(source: PlacedLane, target: PlacedLane): ArrowEnds {
  const isDown = target.y > source.y
  const y = source.rowsY + source.rowHeight / 2 - 1
  const endY = isDown ? target.rowsY - 1 : target.rowsY + target.rowHeight - 1
  return { y, endY, headY: endY + (isDown ? -6 : 6) }
}

/** The trace that the page shows, with the indexes that make drawing and looking up quick. It never changes. */

import { type PackedTrace, unpack } from "../data/columns.js"
import type { TraceData } from "../data/data.js"
import type { TraceFigures } from "../data/figures.js"
import { type Emphasis, emphasisOf } from "../layout/emphasis.js"
import { WaitIndex } from "../layout/arrows.js"
import { type Lane, type LaneGroup, type LaneKind, lanesOf } from "../layout/lanes.js"
import { intervalOf } from "../layout/text/describe.js"
import { RelationIndex } from "../layout/relations.js"
import type { Item } from "../layout/search.js"
import { type Limits, limitsOf } from "../layout/view.js"

/** The contents of the page's data element. */
export interface Embedded {
  readonly trace: PackedTrace
  readonly figures?: TraceFigures
}

export class Model {
  readonly data: TraceData
  readonly figures: TraceFigures | undefined
  readonly groups: readonly LaneGroup[]
  readonly lanes: readonly Lane[]
  readonly relations: RelationIndex
  readonly limits: Limits
  readonly waits: WaitIndex
  /** The critical path. */
  readonly path: Emphasis
  /** For each stream, the number of its lane. */
  readonly laneOfStream: ReadonlyMap<number, number>
  readonly #places: Record<LaneKind, { readonly lanes: Uint32Array; readonly rows: Uint32Array }>

  constructor({ trace, figures }: Embedded) {
    this.data = unpack(trace)
    this.figures = figures
    this.groups = lanesOf(this.data)
    this.lanes = this.groups.flatMap((group) => group.lanes)
    this.relations = new RelationIndex(this.data)
    this.limits = limitsOf(0, this.#end())
    const path = figures?.criticalPath ?? []
    this.path = emphasisOf(
      this.lanes,
      path.map((index) => ({ kind: "span", index })),
    )
    this.waits = new WaitIndex(this.data)
    this.laneOfStream = new Map(
      this.lanes.flatMap(({ stream }, lane) => (stream === undefined ? [] : [[stream, lane] as const])),
    )
    this.#places = { span: this.#placesOf("span"), region: this.#placesOf("region"), call: this.#placesOf("call") }
  }

  /** The lane and the row that show an item. */
  placeOf({ kind, index }: Item): { lane: number; row: number } {
    const { lanes, rows } = this.#places[kind]
    return { lane: lanes[index] ?? 0, row: rows[index] ?? 0 }
  }

  intervalOf(item: Item): { readonly start: number; readonly end: number } {
    return intervalOf(this.data, item)
  }

  #end(): number {
    const ends = this.lanes.flatMap((lane) => lane.rows.map((row) => row.ends.at(-1) ?? 0))
    return Math.max(this.data.duration, ...ends)
  }

  #placesOf(kind: LaneKind) {
    const count = { span: this.data.spans, region: this.data.regions, call: this.data.calls }[kind].length
    const [lanes, rows] = [new Uint32Array(count), new Uint32Array(count)]
    this.lanes.forEach((lane, laneIndex) => {
      if (lane.kind !== kind) return
      lane.rows.forEach(({ ids }, row) => {
        for (const id of ids) [lanes[id], rows[id]] = [laneIndex, row]
      })
    })
    return { lanes, rows }
  }
}

/** Which boxes stand out while the others are dimmed: the hits of a search, or the critical path. */

import type { Lane } from "./lanes.js"
import type { Row } from "./rows.js"
import type { Item } from "./search.js"

/** For each row, how many of its boxes before each one stand out: so those of any part of it are counted at once. */
export type Emphasis = ReadonlyMap<Row, Uint32Array>

export function emphasisOf(lanes: readonly Lane[], items: readonly Item[]): Emphasis {
  const indices = { span: new Set<number>(), region: new Set<number>(), call: new Set<number>() }
  for (const { kind, index } of items) indices[kind].add(index)
  const counts = (lane: Lane) =>
    lane.rows.map((row) => {
      const before = new Uint32Array(row.ids.length + 1)
      row.ids.forEach((id, index) => {
        before[index + 1] = (before[index] ?? 0) + Number(indices[lane.kind].has(id))
      })
      return [row, before] as const
    })
  return new Map(lanes.flatMap(counts))
}

/** Whether none of some boxes of a row stands out. */
export function isDimmed(emphasis: Emphasis | undefined, row: Row, first: number, next: number): boolean {
  const counts = emphasis?.get(row)
  return counts !== undefined && counts[first] === counts[next]
}

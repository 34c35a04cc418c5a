/** Finds operations, fork-joins and calls by their names. */

import type { TraceData } from "../data/data.js"
import type { LaneKind } from "./lanes.js"

/** One thing of a trace that can be selected. */
export interface Item {
  readonly kind: LaneKind
  /** Its index among the spans, regions or calls. */
  readonly index: number
}

/** All items whose name, kind, mode, reason or policy has the text in it, in any case, in the order of their times. */
export function find(data: TraceData, text: string): Item[] {
  const wanted = text.trim().toLowerCase()
  if (wanted === "") return []
  const matches = matcher(wanted)
  const found: (Item & { start: number })[] = []
  data.spans.forEach(({ name, kind, start }, index) => {
    if (matches(name) || kind === wanted) found.push({ kind: "span", index, start })
  })
  data.regions.forEach(({ name, mode, reason, policy, ran, called }, index) => {
    if ([name, mode, reason, policy?.name ?? "", policy?.phase ?? ""].some(matches))
      found.push({ kind: "region", index, start: (ran ?? called).start })
  })
  data.calls.forEach(({ name, start }, index) => {
    if (matches(name)) found.push({ kind: "call", index, start })
  })
  return found.sort((a, b) => a.start - b.start).map(({ kind, index }) => ({ kind, index }))
}

/** Whether a name has the text in it. Names repeat, so each is compared once. */
function matcher(wanted: string): (name: string) => boolean {
  const known = new Map<string, boolean>()
  return (name) => {
    const answer = known.get(name) ?? name.toLowerCase().includes(wanted)
    known.set(name, answer)
    return answer
  }
}

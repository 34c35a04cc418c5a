/**
 * The arrows of a trace in Perfetto's format. A wait's arrow leads from the last operation before the record, over the record and
 * the wait, to the first operation after the wait, so that the viewer shows it whichever of them is selected. A region's arrow
 * leads from its call to its operations.
 */

import type { TraceData, TraceWait } from "../data/data.js"
import type { Mark, Text } from "./perfetto-timeline.js"

export class Flows {
  readonly #data: TraceData
  /** For each stream, its operations in the order of their beginnings; of graphs, not their nodes. */
  readonly #operations: number[][]
  /** For each stream, its records and waits in the order of their times. */
  readonly #marks: Mark[][]
  readonly #from = new Map<number, number[]>()
  readonly #into = new Map<number, number[]>()

  constructor(data: TraceData) {
    this.#data = data
    this.#operations = data.streams.map(() => [])
    this.#marks = data.streams.map(() => [])
    data.spans.forEach((span, index) => {
      if (span.parent === undefined) this.#operations[span.stream]?.push(index)
    })
    for (const operations of this.#operations) operations.sort((a, b) => this.#startOf(a) - this.#startOf(b))
    data.waits.forEach((wait, index) => this.#addWait(wait, index + 1))
    for (const marks of this.#marks) marks.sort((a, b) => a.time - b.time)
  }

  /** The arrows of an operation. */
  ofOperation(index: number): Text {
    return { flows: this.#from.get(index) ?? [], endingFlows: this.#into.get(index) ?? [] }
  }

  /** The arrow of a region, whose numbers follow those of the waits. */
  ofRegion(index: number): number {
    return this.#data.waits.length + index + 1
  }

  marksOn(stream: number): readonly Mark[] {
    return this.#marks[stream] ?? []
  }

  #addWait({ from, to, sent }: TraceWait, flow: number): void {
    // The viewer finds the direction of an arrow from the times, so the record must be earlier than the wait.
    const waited = Math.max(from.time, to.time, 1)
    const recorded = Math.min(from.time, waited - 1)
    const [source, target] = [this.#data.streams[from.stream]?.name ?? "", this.#data.streams[to.stream]?.name ?? ""]
    const category = sent ? "wait" : "skipped wait"
    const before = this.#lastBefore(from.stream, recorded)
    const after = this.#firstFrom(to.stream, waited)
    if (before !== undefined) push(this.#from, before, flow)
    if (after !== undefined) push(this.#into, after, flow)
    this.#marks[from.stream]?.push({
      time: recorded,
      name: "record",
      category,
      flows: [flow],
      details: { waits: target },
    })
    const arrow = after === undefined ? { endingFlows: [flow] } : { flows: [flow] }
    const name = sent ? "wait" : "wait (skipped)"
    this.#marks[to.stream]?.push({ time: waited, name, category, ...arrow, details: { for: source } })
  }

  /** The last operation of a stream that begins before a time. */
  #lastBefore(stream: number, time: number): number | undefined {
    const operations = this.#operations[stream] ?? []
    return operations[this.#position(operations, time) - 1]
  }

  /** The first operation of a stream that begins at a time or later. */
  #firstFrom(stream: number, time: number): number | undefined {
    const operations = this.#operations[stream] ?? []
    return operations[this.#position(operations, time)]
  }

  /** How many operations begin before a time. */
  #position(operations: readonly number[], time: number): number {
    let [low, high] = [0, operations.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#startOf(operations[middle] ?? 0) < time) low = middle + 1
      else high = middle
    }
    return low
  }

  #startOf(index: number): number {
    return this.#data.spans[index]?.start ?? 0
  }
}

function push(lists: Map<number, number[]>, key: number, value: number): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

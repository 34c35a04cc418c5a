/**
 * The arrows of a trace in Perfetto's format. A wait's arrow leads from the last operation before the record, over the record and
 * the wait, to the first operation after the wait, so that the viewer shows it whichever of them is selected. A region's arrow
 * leads from its call to its operations.
 */

import type { TraceData, TraceWait } from "../data/data.js"
import { RelationIndex } from "../layout/relations.js"
import type { Mark, Text } from "./perfetto-timeline.js"

export class Flows {
  readonly #data: TraceData
  readonly #relations: RelationIndex
  /** For each stream, its records and waits in the order of their times. */
  readonly #marks: Mark[][]

  constructor(data: TraceData) {
    this.#data = data
    this.#relations = new RelationIndex(data)
    this.#marks = data.streams.map(() => [])
    data.waits.forEach((wait, index) => this.#addMarks(wait, index))
    for (const marks of this.#marks) marks.sort((a, b) => a.time - b.time)
  }

  /** The arrows of an operation. */
  ofOperation(index: number): Text {
    const { waitedFor, waitedBy } = this.#relations.of(index)
    return { flows: waitedBy.map(ofWait), endingFlows: waitedFor.map(ofWait) }
  }

  /** The arrow of a region. */
  ofRegion(index: number): number {
    return this.#data.waits.length + index + 1
  }

  /** The records and waits of a stream. */
  marksOn(stream: number): readonly Mark[] {
    return this.#marks[stream] ?? []
  }

  #addMarks({ from, to, sent }: TraceWait, index: number): void {
    // The viewer finds the direction of an arrow from the times, so the record must be earlier than the wait.
    const waited = Math.max(from.time, to.time, 1)
    const recorded = Math.min(from.time, waited - 1)
    const category = sent ? "wait" : "skipped wait"
    const flow = ofWait(index)
    const isLast = this.#relations.waitEnds[index]?.to === undefined
    const [source, target] = [from, to].map(({ stream }) => this.#data.streams[stream]?.name)
    const record = { time: recorded, name: "record", category, flows: [flow], details: { for: target } }
    const wait = { time: waited, name: sent ? "wait" : "wait (skipped)", category, details: { for: source } }
    this.#marks[from.stream]?.push(record)
    this.#marks[to.stream]?.push({ ...wait, ...(isLast ? { endingFlows: [flow] } : { flows: [flow] }) })
  }
}

/** The arrow of a wait. Those of regions have the numbers after them. */
const ofWait = (index: number) => index + 1

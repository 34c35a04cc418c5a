/** Collects the tracks and events of a trace, and writes the events in the order of their times. */

import type { Interval, Nested } from "../layout/nesting.js"
import { PacketWriter, type Track, type TrackEvent } from "./perfetto-packets.js"

/** What a slice or a mark shows beside its time. */
export type Text = Pick<TrackEvent, "name" | "category" | "details" | "flows" | "endingFlows">
/** Something that happens at one time. */
export type Mark = Text & { readonly time: number }

/** Slices of one stream, thread or device. */
export interface Slices {
  readonly intervals: readonly Interval[]
  readonly nested: readonly Nested[]
  readonly describe: (index: number) => Text
  /** In the order of their times. */
  readonly marks?: readonly Mark[]
}

export class Timeline {
  readonly #packets = new PacketWriter()
  readonly #events: TrackEvent[] = []
  #tracks = 0

  /** Adds a track and returns its id. */
  addTrack(track: Omit<Track, "id">): number {
    const id = ++this.#tracks
    this.#packets.track({ id, ...track })
    return id
  }

  /** Adds slices on a track, and those that overlap others by a part on tracks beside it. */
  addSlices(track: Omit<Track, "id">, slices: Slices): void {
    const count = slices.nested.reduce((most, slice) => Math.max(most, slice.track + 1), 1)
    for (let number = 0; number < count; number++) {
      const name = number === 0 ? track.name : `${track.name} (${number + 1})`
      const marks = number === 0 ? (slices.marks ?? []) : []
      const nested = slices.nested.filter((slice) => slice.track === number)
      this.#addEvents(this.addTrack({ ...track, name }), { ...slices, nested, marks })
    }
  }

  addCounter(track: Omit<Track, "id">, values: Iterable<readonly [time: number, value: number]>): void {
    const id = this.addTrack({ ...track, is: "counter" })
    for (const [time, value] of values) this.#events.push({ type: "counter", track: id, time, value })
  }

  /** Adds slices that are nested or apart. At equal times, slices end first, then come marks, then slices begin. */
  #addEvents(track: number, { intervals, nested, describe, marks = [] }: Slices): void {
    const ends: number[] = []
    let next = 0
    const advance = (until: number) => {
      for (;;) {
        const end = ends.at(-1) ?? Infinity
        const mark = marks[next]
        if (end <= until && end <= (mark?.time ?? Infinity)) {
          this.#events.push({ type: "end", track, time: end })
          ends.pop()
        } else if (mark !== undefined && mark.time <= until) {
          this.#events.push({ type: "instant", track, ...mark })
          next++
        } else return
      }
    }
    for (const { index } of nested) {
      const { start, end } = intervals[index] ?? { start: 0, end: 0 }
      advance(start)
      this.#events.push({ type: "begin", track, time: start, ...describe(index) })
      ends.push(end)
    }
    advance(Number.MAX_VALUE)
  }

  /** The file. */
  finish(): Uint8Array {
    for (const event of this.#events.sort((a, b) => a.time - b.time)) this.#packets.event(event)
    return this.#packets.finish()
  }
}

/**
 * Reads a file of Perfetto's trace format as its trace processor does: decoded by protobufjs from the published schema, packets
 * sorted by time, slices put together from their begins and ends, arrows from the flows. Refuses what the schema does not know.
 */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import protobuf from "protobufjs"

export interface ReadTrack {
  readonly id: number
  readonly name: string
  readonly parent?: number
  readonly rank?: number
  readonly description?: string
  readonly kind: "process" | "thread" | "counter" | "other"
}

/** A slice, or an instant, which begins when it ends. */
export interface ReadSlice {
  readonly track: number
  readonly name: string
  readonly category: string
  readonly start: number
  end: number
  readonly depth: number
  readonly isInstant: boolean
  readonly details: Readonly<Record<string, string | number | boolean>>
}

export interface ReadTrace {
  readonly tracks: readonly ReadTrack[]
  readonly slices: readonly ReadSlice[]
  readonly arrows: readonly { readonly flow: number; readonly from: ReadSlice; readonly to: ReadSlice }[]
  readonly counters: readonly { readonly track: number; readonly time: number; readonly value: number }[]
}

interface Name {
  iid: number
  name: string
}
interface Annotation {
  nameIid: number
  boolValue?: boolean
  intValue?: number
  stringValue?: string
}
interface Event {
  type: "TYPE_SLICE_BEGIN" | "TYPE_SLICE_END" | "TYPE_INSTANT" | "TYPE_COUNTER"
  trackUuid: number
  nameIid?: number
  categoryIids?: number[]
  counterValue?: number
  flowIds?: number[]
  terminatingFlowIds?: number[]
  debugAnnotations?: Annotation[]
}
interface Descriptor {
  uuid: number
  name: string
  parentUuid?: number
  siblingOrderRank?: number
  description?: string
  process?: object
  thread?: object
  counter?: object
}
interface Packet {
  timestamp?: number
  trustedPacketSequenceId: number
  sequenceFlags: number
  trackEvent?: Event
  trackDescriptor?: Descriptor
  internedData?: { eventCategories?: Name[]; eventNames?: Name[]; debugAnnotationNames?: Name[] }
}

const schema = new URL("perfetto.proto", import.meta.url)
const Trace = protobuf.parse(readFileSync(schema, "utf8")).root.lookupType("perfetto.protos.Trace")

export function readPerfetto(file: Uint8Array): ReadTrace {
  const decoded = Trace.decode(file)
  assert.equal(Trace.encode(decoded).finish().length, file.length, "a field that the schema does not have")
  const { packet } = Trace.toObject(decoded, { longs: Number, enums: String }) as { packet: Packet[] }
  const reader = new Reader()
  for (const one of packet) reader.intern(one)
  const events = packet.filter((one) => one.trackEvent !== undefined)
  const times = events.map(({ timestamp }) => Number(timestamp))
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
    "readers that do not sort need events in the order of their times",
  )
  for (const one of events.sort((a, b) => Number(a.timestamp) - Number(b.timestamp))) reader.event(one)
  reader.check()
  const { tracks, slices, arrows, counters } = reader
  return { tracks: [...tracks.values()], slices, arrows, counters }
}

class Reader {
  readonly tracks = new Map<number, ReadTrack>()
  readonly slices: ReadSlice[] = []
  readonly arrows: { flow: number; from: ReadSlice; to: ReadSlice }[] = []
  readonly counters: { track: number; time: number; value: number }[] = []
  readonly #names = {
    categories: new Map<number, string>(),
    events: new Map<number, string>(),
    details: new Map<number, string>(),
  }
  readonly #open = new Map<number, ReadSlice[]>()
  readonly #flows = new Map<number, ReadSlice>()
  #hasState = false

  /** Takes the names and tracks of a packet, in the order of the file. */
  intern({ internedData = {}, sequenceFlags, trackDescriptor, trackEvent }: Packet): void {
    if (sequenceFlags & 1) this.#hasState = true
    assert.ok(this.#hasState, "a packet that needs names comes before the first packet of its sequence")
    for (const { iid, name } of internedData.eventCategories ?? []) this.#names.categories.set(iid, name)
    for (const { iid, name } of internedData.eventNames ?? []) this.#names.events.set(iid, name)
    for (const { iid, name } of internedData.debugAnnotationNames ?? []) this.#names.details.set(iid, name)
    if (trackEvent !== undefined) this.#checkNames(trackEvent)
    if (trackDescriptor === undefined) return
    const { uuid: id, name, parentUuid: parent, siblingOrderRank: rank, description, ...is } = trackDescriptor
    assert.ok(!this.tracks.has(id), `two tracks ${id}`)
    assert.ok(parent === undefined || this.tracks.has(parent), `track ${id} comes before its parent`)
    const kind = is.process ? "process" : is.thread ? "thread" : is.counter ? "counter" : "other"
    const optional = { ...(parent && { parent }), ...(rank && { rank }), ...(description && { description }) }
    this.tracks.set(id, { id, name, kind, ...optional })
  }

  /** Names must be known by the packet that uses them. */
  #checkNames({ type, nameIid = 0, categoryIids = [], debugAnnotations = [] }: Event): void {
    const isNamed = type === "TYPE_SLICE_BEGIN" || type === "TYPE_INSTANT"
    assert.equal(this.#names.events.has(nameIid), isNamed, "an event's name must be known, and only slices have one")
    for (const id of categoryIids) assert.ok(this.#names.categories.has(id), "a category is not known yet")
    for (const { nameIid } of debugAnnotations)
      assert.ok(this.#names.details.has(nameIid), "a detail's name is not known yet")
  }

  event({ timestamp: time = 0, trackEvent }: Packet): void {
    if (trackEvent === undefined) return
    const { type, trackUuid: track, counterValue: value = 0 } = trackEvent
    assert.ok(this.tracks.has(track), `an event on track ${track}, which does not exist`)
    if (type === "TYPE_COUNTER") this.counters.push({ track, time, value })
    else if (type === "TYPE_SLICE_END") this.#endSlice(track, time)
    else this.#beginSlice(trackEvent, time)
  }

  #beginSlice(event: Event, time: number): void {
    const stack = this.#open.get(event.trackUuid) ?? []
    this.#open.set(event.trackUuid, stack)
    const isInstant = event.type === "TYPE_INSTANT"
    const slice: ReadSlice = {
      track: event.trackUuid,
      name: this.#names.events.get(event.nameIid ?? 0) ?? "",
      category: (event.categoryIids ?? []).map((id) => this.#names.categories.get(id)).join(" "),
      ...{ start: time, end: isInstant ? time : NaN, depth: stack.length, isInstant },
      details: Object.fromEntries((event.debugAnnotations ?? []).map((annotation) => this.#detail(annotation))),
    }
    this.slices.push(slice)
    if (!isInstant) stack.push(slice)
    for (const flow of event.flowIds ?? []) this.#step(flow, slice)
    for (const flow of event.terminatingFlowIds ?? []) {
      this.#step(flow, slice)
      this.#flows.delete(flow)
    }
  }

  #endSlice(track: number, time: number): void {
    const slice = this.#open.get(track)?.pop()
    assert.ok(slice, `a slice ends on track ${track}, where none is open`)
    slice.end = time
  }

  #step(flow: number, to: ReadSlice): void {
    const from = this.#flows.get(flow)
    if (from !== undefined) this.arrows.push({ flow, from, to })
    this.#flows.set(flow, to)
  }

  #detail({ nameIid, boolValue, intValue, stringValue }: Annotation): [string, string | number | boolean] {
    return [this.#names.details.get(nameIid) ?? "", stringValue ?? intValue ?? boolValue ?? ""]
  }

  check(): void {
    for (const [track, stack] of this.#open) assert.equal(stack.length, 0, `slices on track ${track} do not end`)
  }
}

/**
 * Packets of Perfetto's trace format, TrackEvent: tracks, and events on them. Names are written once and then named by number.
 * Field numbers are those of Perfetto's `protos/perfetto/trace/`. Events must be given in the order of their times.
 */

import { MessageWriter } from "./protobuf.js"

/** A row of the viewer, which has slices, or the values of a counter, or other tracks below it. */
export interface Track {
  readonly id: number
  readonly parent?: number
  readonly name: string
  readonly description?: string
  /** What the rows below its parent are sorted by. */
  readonly rank?: number
  /** Whether the tracks below it are sorted by their ranks. */
  readonly hasRanks?: boolean
  readonly is?: "process" | "thread" | "counter"
  /** Node's id of a thread. */
  readonly thread?: number
}

type Detail = string | number | boolean | undefined

/** One event: a slice begins or ends, something happens, or a counter changes. */
export interface TrackEvent {
  readonly type: "begin" | "end" | "instant" | "counter"
  readonly track: number
  /** Nanoseconds. */
  readonly time: number
  readonly name?: string
  readonly category?: string
  /** Arrows that begin here or pass. Each joins all events that name it, by their times. */
  readonly flows?: readonly number[]
  /** Arrows that end here. */
  readonly endingFlows?: readonly number[]
  readonly details?: Readonly<Record<string, Detail>>
  readonly value?: number
}

const PACKET = 1
const packet = { timestamp: 8, sequence: 10, event: 11, interned: 12, flags: 13, firstOnSequence: 87, track: 60 }
const interned = { categories: 1, names: 2, detailNames: 3, id: 1, name: 2 }
const track = {
  ...{ uuid: 1, name: 2, process: 3, thread: 4, parent: 5, counter: 8 },
  ...{ childOrdering: 11, rank: 12, description: 14, siblingMerge: 15 },
}
const process = { pid: 1, name: 6 }
const thread = { pid: 1, tid: 2, name: 5 }
const event = { categories: 3, details: 4, type: 9, name: 10, track: 11, value: 30, flows: 47, endingFlows: 48 }
const detail = { name: 1, boolean: 2, integer: 4, string: 6 }

const EXPLICIT_ORDER = 3
const NEVER_MERGE = 2
const STATE_CLEARED = 1
const NEEDS_STATE = 2
const EVENT_TYPES = { begin: 1, end: 2, instant: 3, counter: 4 }

/** All packets are of one sequence and one process. Their numbers mean nothing outside the file. */
const SEQUENCE = 1
const PID = 1

export class PacketWriter {
  readonly #file = new MessageWriter()
  readonly #categories = new Names(interned.categories)
  readonly #names = new Names(interned.names)
  readonly #detailNames = new Names(interned.detailNames)
  #isFirst = true

  finish(): Uint8Array {
    return this.#file.finish()
  }

  track(described: Track): void {
    this.#packet((message) => message.message(packet.track, (fields) => writeTrack(fields, described)))
  }

  event(described: TrackEvent): void {
    this.#packet((message) => {
      message.number(packet.timestamp, described.time)
      message.message(packet.event, (fields) => this.#writeEvent(fields, described))
      const lists = [this.#categories, this.#names, this.#detailNames].filter((list) => list.hasNew)
      if (lists.length > 0) message.message(packet.interned, (fields) => lists.forEach((list) => list.writeNew(fields)))
    })
  }

  #packet(write: (message: MessageWriter) => void): void {
    this.#file.message(PACKET, (message) => {
      write(message)
      message.number(packet.sequence, SEQUENCE)
      message.number(packet.flags, this.#isFirst ? STATE_CLEARED + NEEDS_STATE : NEEDS_STATE)
      if (this.#isFirst) message.number(packet.firstOnSequence, true)
    })
    this.#isFirst = false
  }

  #writeEvent(fields: MessageWriter, described: TrackEvent): void {
    fields.number(event.type, EVENT_TYPES[described.type]).number(event.track, described.track)
    if (described.name !== undefined) fields.number(event.name, this.#names.idOf(described.name))
    if (described.category !== undefined) fields.number(event.categories, this.#categories.idOf(described.category))
    if (described.value !== undefined) fields.number(event.value, described.value)
    for (const flow of described.flows ?? []) fields.fixed64(event.flows, flow)
    for (const flow of described.endingFlows ?? []) fields.fixed64(event.endingFlows, flow)
    for (const [name, value] of Object.entries(described.details ?? {})) {
      if (value === undefined) continue
      fields.message(event.details, (message) => {
        message.number(detail.name, this.#detailNames.idOf(name))
        writeDetail(message, value)
      })
    }
  }
}

function writeTrack(fields: MessageWriter, described: Track): void {
  fields.number(track.uuid, described.id).string(track.name, described.name)
  if (described.parent !== undefined) fields.number(track.parent, described.parent)
  if (described.description !== undefined) fields.string(track.description, described.description)
  if (described.rank !== undefined) fields.number(track.rank, described.rank)
  if (described.hasRanks) fields.number(track.childOrdering, EXPLICIT_ORDER)
  if (described.is === "process") {
    fields.message(track.process, (message) => message.number(process.pid, PID).string(process.name, described.name))
  } else if (described.is === "thread") {
    const tid = PID + (described.thread ?? 0)
    fields.message(track.thread, (message) => {
      message.number(thread.pid, PID).number(thread.tid, tid).string(thread.name, described.name)
    })
  } else {
    fields.number(track.siblingMerge, NEVER_MERGE)
    if (described.is === "counter") fields.message(track.counter, () => {})
  }
}

function writeDetail(message: MessageWriter, value: Detail): void {
  if (typeof value === "string") message.string(detail.string, value)
  else if (typeof value === "boolean") message.number(detail.boolean, value)
  else if (typeof value === "number") message.number(detail.integer, value)
}

/** Names that are written once, in the packet that uses them first, and numbered from 1. */
class Names {
  readonly #field: number
  readonly #ids = new Map<string, number>()
  #new: [string, number][] = []

  constructor(field: number) {
    this.#field = field
  }

  get hasNew(): boolean {
    return this.#new.length > 0
  }

  idOf(name: string): number {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const id = this.#ids.size + 1
    this.#ids.set(name, id)
    this.#new.push([name, id])
    return id
  }

  writeNew(fields: MessageWriter): void {
    for (const [name, id] of this.#new) {
      fields.message(this.#field, (message) => message.number(interned.id, id).string(interned.name, name))
    }
    this.#new = []
  }
}

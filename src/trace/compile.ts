/**
 * Makes the data of a trace from a recorder's log. A stream's waits and records have no times of their own: they follow from
 * the stream's operations and from the order of the log, which is the order in which the program queued them.
 */
import os from "node:os"
import process from "node:process"
import type { TraceCall, TraceData, TraceRegion, TraceSpan, TraceWait, TracedDevice } from "./data/data.js"
import { type Draft, GraphLaunches } from "./graph-launches.js"
import { StreamNumbers } from "./stream-numbers.js"
import {
  type LogEntry,
  type LoggedOperation,
  type LoggedRecord,
  type LoggedWait,
  NONE,
  type StreamIndex,
} from "./record/log.js"
import type { RecordedDevice, RecordedRegion, Recorder } from "./record/recorder.js"

/** The part of a recorder's log that belongs to one trace. Entries are meant by index, `to` excluded. */
export interface TraceWindow {
  readonly date: Date
  /** When it starts and ends, in milliseconds of `sharedNow()`. */
  readonly start: number
  readonly end: number
  /** The recorder's cost when it started. */
  readonly cost: number
  readonly entries: { readonly from: number; readonly to: number }
  readonly regions: { readonly from: number; readonly to: number }
}

interface WaitDraft {
  from: { stream: number; time: number }
  to: { stream: number; time: number }
  sent: boolean
  region?: number
}

export function compile(recorder: Recorder, window: TraceWindow): TraceData {
  return new Compiler(recorder, window).data()
}

class Compiler {
  readonly #recorder: Recorder
  readonly #window: TraceWindow
  readonly #numbers: StreamNumbers
  /** The indices of regions, by their numbers. */
  readonly #regions = new Map<number, number>()
  /** The regions: those that the program called, then those of graphs. */
  readonly #all: TraceRegion[] = []
  /** When the operations of each ran. */
  readonly #ran: ({ start: number; end: number } | undefined)[] = []
  readonly #spans: TraceSpan[] = []
  readonly #waits: WaitDraft[] = []
  /** How far each stream has come, after the log's entries so far. */
  readonly #reached = new Map<StreamIndex, number>()
  /** When each record was reached. */
  readonly #records = new Map<LoggedRecord, number>()
  /** The waits of each stream since its last operation. */
  readonly #pending = new Map<StreamIndex, WaitDraft[]>()
  readonly #lost = new Map<RecordedDevice, number>()
  readonly #launches = new GraphLaunches({
    spans: this.#spans,
    regions: this.#all,
    addWait: (wait) => this.#waits.push(wait),
    laneOf: ({ stream }, branch) => this.#numbers.branch(stream, branch),
    time: (milliseconds) => this.#time(milliseconds),
    isHost: ({ stream }) => this.#recorder.streams[stream]?.device.kind === "host",
  })
  #operations = 0

  constructor(recorder: Recorder, window: TraceWindow) {
    this.#recorder = recorder
    this.#window = window
    this.#numbers = new StreamNumbers(recorder)
  }

  data(): TraceData {
    const { log } = this.#recorder
    const { entries, start, end, date } = this.#window
    for (const device of this.#recorder.devices) if (!device.isClosed) this.#numbers.device(device)
    const recorded = this.#recorder.regions.slice(this.#window.regions.from, this.#window.regions.to)
    recorded.forEach(({ region }, index) => this.#regions.set(region.number, index))
    for (const region of recorded) this.#all.push(this.#region(region))
    for (let index = entries.from; index < entries.to; index++) {
      const entry = log[index]
      if (entry !== undefined) this.#take(entry)
    }
    this.#takeForeign()
    const regions = this.#all.map((region, index) => this.#whole(region, recorded[index], index))
    const cost = { total: ns(this.#recorder.cost - this.#window.cost), operations: this.#operations }
    return {
      format: "auxstream-trace",
      version: 1,
      date: date.toISOString(),
      machine: machine(),
      duration: this.#spans.reduce((last, span) => Math.max(last, span.end), ns(end - start)),
      cost,
      devices: this.#numbers.devices.map((device) => this.#tracedDevice(device)),
      streams: this.#numbers.streams,
      spans: this.#spans,
      waits: this.#waits satisfies TraceWait[],
      regions,
      calls: this.#calls(),
    }
  }

  #take(entry: LogEntry): void {
    if (entry.type === "operation") return this.#operation(entry)
    if (entry.type === "wait") return this.#wait(entry)
    this.#records.set(entry, Math.max(this.#time(entry.time), this.#reachedBy(entry.stream)))
  }

  #operation(operation: LoggedOperation): void {
    if (!Number.isFinite(operation.tick)) return // The driver refused it.
    this.#operations++
    const { start, end, isTimed } = operation
    if (!Number.isFinite(end)) {
      const device = this.#recorder.streams[operation.stream]?.device
      if (isTimed && device !== undefined) this.#lost.set(device, (this.#lost.get(device) ?? 0) + 1)
      return
    }
    const span = this.#span(operation, this.#time(start), this.#time(end))
    this.#clampWaits(operation.stream, span.start)
    this.#reached.set(operation.stream, Math.max(this.#reachedBy(operation.stream), span.end))
    this.#extend(span.region, span.start, span.end)
    const index = this.#spans.push(span) - 1
    if (operation.nodes === undefined) return
    this.#launches.add(operation, span, index)
    for (const { region, start: begin, end: until } of this.#spans.slice(index + 1)) this.#extend(region, begin, until)
  }

  #span(operation: LoggedOperation, start: number, end: number): Draft<TraceSpan> {
    const { kind, label, bytes, stream, branch, overlap } = operation
    const queued = Math.min(this.#time(operation.queued), start)
    const span: Draft<TraceSpan> = {
      stream: this.#numbers.stream(stream),
      kind,
      name: label,
      queued,
      start,
      end,
      bytes,
    }
    if (overlap !== undefined) span.overlap = { mode: overlap.mode, policy: overlap.policy }
    const region = this.#regions.get(operation.region)
    if (region === undefined) return span
    span.region = region
    if (branch !== NONE) span.branch = branch
    return span
  }

  #wait({ stream, time, sent, from, record, region: number }: LoggedWait): void {
    const reached = (record && this.#records.get(record)) ?? 0
    const to = Math.max(reached, this.#time(time), this.#reachedBy(stream))
    const wait: WaitDraft = {
      from: { stream: this.#numbers.stream(from), time: reached },
      to: { stream: this.#numbers.stream(stream), time: to },
      sent,
    }
    const region = this.#regions.get(number)
    if (region !== undefined) wait.region = region
    this.#reached.set(stream, to)
    this.#waits.push(wait)
    const pending = this.#pending.get(stream)
    if (pending === undefined) this.#pending.set(stream, [wait])
    else pending.push(wait)
  }

  /** An operation proves that the waits before it were over, however exact the clocks are. */
  #clampWaits(stream: StreamIndex, start: number): void {
    const pending = this.#pending.get(stream)
    if (pending === undefined) return
    this.#pending.delete(stream)
    for (const { from, to } of pending) {
      to.time = Math.min(to.time, start)
      from.time = Math.min(from.time, to.time)
    }
  }

  #takeForeign(): void {
    for (const device of this.#numbers.devices) {
      for (const { stream, node } of device.times.foreign) {
        const start = this.#time(node.start)
        if (node.end <= this.#window.start || node.start >= this.#window.end) continue
        const place = this.#numbers.foreign(device, stream)
        this.#spans.push({
          stream: place,
          kind: "foreign",
          name: node.name,
          queued: start,
          start,
          end: this.#time(node.end),
        })
      }
    }
  }

  /** The facts about a region that are known before its operations. */
  #region({ region, start, end }: RecordedRegion): TraceRegion {
    const parent = region.parent && this.#regions.get(region.parent.region.number)
    return {
      name: region.name,
      mode: region.mode,
      reason: region.reason,
      called: { start: this.#time(start), end: this.#time(Number.isFinite(end) ? end : this.#window.end) },
      device: 0,
      streams: [],
      ...(region.policy === undefined ? {} : { policy: { ...region.policy } }),
      ...(parent === undefined ? {} : { parent }),
      ...(parent === undefined || region.parent?.index === undefined ? {} : { branch: region.parent.index }),
    }
  }

  /** @param recorded undefined if the region is in a graph */
  #whole(region: TraceRegion, recorded: RecordedRegion | undefined, index: number): TraceRegion {
    const streams = recorded?.streams.map((stream) => this.#numbers.stream(stream)) ?? region.streams
    const ran = this.#ran[index]
    const device = this.#numbers.streams[streams[0] ?? -1]?.device ?? 0
    return { ...region, device, streams, ...(ran === undefined ? {} : { ran }) }
  }

  /** An operation ran inside a region, and so inside those around it. */
  #extend(inner: number | undefined, start: number, end: number): void {
    for (let region = inner; region !== undefined; region = this.#all[region]?.parent) {
      const ran = (this.#ran[region] ??= { start, end })
      ran.start = Math.min(ran.start, start)
      ran.end = Math.max(ran.end, end)
    }
  }

  #calls(): TraceCall[] {
    const { start, end } = this.#window
    return this.#recorder.calls
      .filter((call) => call.end > start && call.start < end)
      .map((call) => ({
        name: call.name,
        thread: this.#recorder.thread,
        start: this.#time(call.start),
        end: this.#time(call.end),
      }))
  }

  #tracedDevice(device: RecordedDevice): TracedDevice {
    const { id, kind, name, times } = device
    const untimed = this.#lost.get(device) ?? 0
    return {
      id,
      kind,
      name,
      times: times.source ?? (kind === "host" ? "workers" : "events"),
      lost: Math.max(untimed, times.recordsLost),
    }
  }

  #reachedBy(stream: StreamIndex): number {
    return this.#reached.get(stream) ?? 0
  }

  /** Nanoseconds since the trace began; 0 for what happened before. */
  #time(milliseconds: number): number {
    return Math.max(0, ns(milliseconds - this.#window.start))
  }
}

function ns(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}

function machine(): TraceData["machine"] {
  const cpus = os.cpus()
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
  }
}

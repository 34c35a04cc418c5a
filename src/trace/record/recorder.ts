/**
 * Writes down everything that this thread queues, for all traces that are open at a time. It observes; it must never change
 * the order of anything, or fail a call of the program.
 */
import { threadId } from "node:worker_threads"
import type { TimeSource } from "../../driver/timeline.js"
import { clearInterval, now, setInterval, sharedOffset } from "../../common/timers.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import { type HostCallName, OperationObserver } from "../../runtime/order/observer/observer.js"
import { observe } from "../../runtime/order/observer/observers.js"
import type { Access, Operation } from "../../runtime/order/observer/operation.js"
import type { RecordPoint } from "../../runtime/order/record-point.js"
import type { Region } from "../../runtime/order/observer/region.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import { openDevices } from "../../runtime/device/current.js"
import { DeviceTimes } from "./device-times.js"
import {
  type LogEntry,
  type LoggedCall,
  type LoggedOperation,
  type LoggedRecord,
  NONE,
  type StreamIndex,
} from "./log.js"

/** Every so many milliseconds, the times of finished operations are collected. */
const COLLECT_EVERY = 50
/** After so many operations, only one of so many is measured, to know what recording costs. */
const SAMPLE_EVERY = 32

/** How many records of a stream are remembered for the waits to come. */
const KEPT_RECORDS = 64

/** What a recorder keeps at most. */
export interface RecorderLimits {
  /** Where CUDA devices take times from. */
  readonly source: TimeSource | undefined
  /** Records in each buffer of a timeline. */
  readonly capacity: number
  /** Entries of the log. Later ones are lost. */
  readonly entries: number
}

/** A device that was open. */
export class RecordedDevice {
  readonly kind: "host" | "cuda"
  readonly name: string
  readonly times: DeviceTimes
  readonly #order: DeviceOrder
  #id: string | undefined

  constructor(order: DeviceOrder, kind: "host" | "cuda", name: string, times: DeviceTimes) {
    this.#order = order
    this.kind = kind
    this.name = name
    this.times = times
  }

  get isClosed(): boolean {
    return this.#order.closed
  }

  /** Known once the device is open, and remembered when it is closed. */
  get id(): string {
    return (this.#id ??= idOf(this.#order)) ?? this.kind
  }
}

/** A stream that was used. */
export interface RecordedStream {
  readonly device: RecordedDevice
  readonly name: string
}

/** A region, with its times once known. */
export interface RecordedRegion {
  readonly region: Region
  readonly start: number
  end: number
  /** Ends its range in the device's profilers. */
  readonly endRange: (() => void) | undefined
  streams: readonly StreamIndex[]
}

export class Recorder extends OperationObserver {
  /** Node's id of this thread. */
  readonly thread = threadId
  readonly log: LogEntry[] = []
  readonly operations: (LoggedOperation | undefined)[] = []
  readonly calls: LoggedCall[] = []
  readonly regions: RecordedRegion[] = []
  readonly devices: RecordedDevice[] = []
  readonly streams: RecordedStream[] = []
  /** Milliseconds of this thread that recording took, as measured and extrapolated. */
  cost = 0
  readonly #limits: RecorderLimits
  readonly #offset = sharedOffset()
  readonly #byOrder = new Map<DeviceOrder, RecordedDevice>()
  readonly #indices = new Map<StreamState, StreamIndex>()
  /** The stream that has each slot of a device. */
  readonly #slots = new Map<DeviceOrder, StreamIndex[]>()
  /** The latest records of each stream. */
  readonly #records: LoggedRecord[][] = []
  readonly #openRegions = new Map<Region, RecordedRegion>()
  /** The operations that are being queued, the innermost last; undefined for one that is not recorded. */
  readonly #open: (LoggedOperation | undefined)[] = []
  readonly #timer: ReturnType<typeof setInterval>
  readonly #unobserve: () => void
  /** How many operations there were, and how many the one that is being queued stands for in the cost; 0 if none. */
  #count = 0
  #weight = 0

  constructor(limits: RecorderLimits) {
    super()
    this.#limits = limits
    this.#unobserve = observe(this)
    this.#timer = setInterval(() => this.collect(), COLLECT_EVERY)
    this.#timer.unref()
  }

  /** The time on the clock that all threads share. */
  now(): number {
    return now() + this.#offset
  }

  /** The same time on this thread's `performance.now()`. */
  local(time: number): number {
    return time - this.#offset
  }

  collect(): void {
    const start = now()
    for (const { times } of this.devices) times.collect()
    this.cost += now() - start
  }

  /** Resolves once everything recorded so far is over. */
  async settle(): Promise<void> {
    await Promise.all(this.devices.map(({ times }) => times.settle()))
  }

  /** Records nothing from now on. Another recorder may start at once. */
  stop(): void {
    this.#unobserve()
    clearInterval(this.#timer)
    for (const { times } of this.devices) times.close()
  }

  override opened(order: DeviceOrder): void {
    const { capacity, source } = this.#limits
    const times = new DeviceTimes(order, this.operations, source, capacity)
    const { kind, name } = order.driver
    const device = new RecordedDevice(order, kind, name, times)
    this.#byOrder.set(order, device)
    this.devices.push(device)
  }

  override closing(order: DeviceOrder): void {
    const device = this.#byOrder.get(order)
    device?.times.close()
  }

  override before(operation: Operation): void {
    const weight = this.#count++ < SAMPLE_EVERY ? 1 : this.#count % SAMPLE_EVERY === 0 ? SAMPLE_EVERY : 0
    const start = weight === 0 ? 0 : now()
    this.#weight = weight
    const { stream } = operation
    const logged = stream.capture === undefined ? this.#enlist(operation) : undefined
    this.#open.push(logged)
    if (logged !== undefined) this.#byOrder.get(stream.order)?.times.begin(logged, stream)
    if (weight !== 0) this.cost += weight * (now() - start)
  }

  override accepted({ stream, overlap }: Operation, tick: number): void {
    const weight = this.#weight
    const start = weight === 0 ? 0 : now()
    const logged = this.#open.pop()
    if (logged !== undefined) {
      this.#byOrder.get(stream.order)?.times.end(logged, stream)
      logged.queued = this.now()
      logged.overlap = overlap
      logged.tick = tick
    }
    if (weight !== 0) this.cost += weight * (now() - start)
  }

  override refused({ stream }: Operation): void {
    const logged = this.#open.pop()
    if (logged !== undefined) this.#byOrder.get(stream.order)?.times.end(logged, stream)
  }

  override recorded(stream: StreamState, point: RecordPoint): void {
    if (stream.capture !== undefined || this.#isFull()) return
    const index = this.#indexOf(stream)
    const record: LoggedRecord = { type: "record", stream: index, tick: point.tick, time: this.now() }
    this.log.push(record)
    const latest = (this.#records[index] ??= [])
    if (latest.push(record) > 2 * KEPT_RECORDS) latest.splice(0, KEPT_RECORDS)
  }

  override marked(stream: StreamState, point: RecordPoint): void {
    this.recorded(stream, point)
  }

  override waited(stream: StreamState, point: RecordPoint, isSent: boolean): void {
    if (stream.capture !== undefined || point.capture !== undefined || this.#isFull()) return
    const from = this.#slots.get(stream.order)?.[point.slot]
    if (from === undefined) return
    const record = this.#records[from]?.findLast(({ tick }) => tick === point.tick)
    const region = stream.order.captures.region()?.region.number ?? NONE
    const time = this.now()
    this.log.push({ type: "wait", stream: this.#indexOf(stream), time, sent: isSent, region, from, record })
  }

  override hostCalled(name: HostCallName, start: number): void {
    if (this.calls.length < this.#limits.entries) this.calls.push({ name, start, end: this.now() })
  }

  /** A captured region runs with the launches of its graph, which name it. */
  override began(region: Region): void {
    if (region.isCaptured || this.regions.length >= this.#limits.entries) return
    const streams = region.streams.map((stream) => this.#indexOf(stream))
    const driver = region.streams[0]?.order.driver
    const endRange = driver?.startRange?.(`auxstream ${region.name} (${region.mode}: ${region.reason})`)
    const recorded = { region, start: this.now(), end: NaN, endRange, streams }
    this.regions.push(recorded)
    this.#openRegions.set(region, recorded)
  }

  override ended(region: Region): void {
    const recorded = this.#openRegions.get(region)
    this.#openRegions.delete(region)
    if (recorded === undefined) return
    recorded.end = this.now()
    // A region of autoParallel adds streams while it is open.
    recorded.streams = region.streams.map((stream) => this.#indexOf(stream))
    recorded.endRange?.()
  }

  #enlist({ kind, label, stream, accesses, region, plan }: Operation): LoggedOperation | undefined {
    if (this.#isFull()) {
      this.#byOrder.get(stream.order)?.times.lost(1)
      return undefined
    }
    const logged: LoggedOperation = {
      type: "operation",
      number: this.operations.length,
      kind: kind === "launch" ? "kernel" : kind,
      label,
      stream: this.#indexOf(stream),
      bytes: bytesOf(accesses),
      region: region?.region.number ?? NONE,
      branch: region?.index ?? NONE,
      queued: NaN,
      isTimed: false,
      tick: NaN,
      start: NaN,
      end: NaN,
      outline: plan?.outline,
      nodes: undefined,
      overlap: undefined,
    }
    this.operations.push(logged)
    this.log.push(logged)
    return logged
  }

  #isFull(): boolean {
    return this.log.length >= this.#limits.entries
  }

  #indexOf(stream: StreamState): StreamIndex {
    return this.#indices.get(stream) ?? this.#addStream(stream)
  }

  #addStream(stream: StreamState): StreamIndex {
    const { order, slot, name } = stream
    const device = this.#byOrder.get(order)
    if (device === undefined) throw new RangeError(`${name} is on a device that was never opened.`)
    const index = this.streams.length
    const suffix = ` of ${device.id}`
    this.streams.push({ device, name: name.endsWith(suffix) ? name.slice(0, -suffix.length) : name })
    this.#indices.set(stream, index)
    const slots = this.#slots.get(order)
    if (slots === undefined) this.#slots.set(order, slotsWith(slot, index))
    else slots[slot] = index
    return index
  }
}

function slotsWith(slot: number, index: StreamIndex): StreamIndex[] {
  const slots: StreamIndex[] = []
  slots[slot] = index
  return slots
}

function bytesOf(accesses: readonly Access[]): number {
  let bytes = 0
  for (const { width, rows } of accesses) bytes += width * rows
  return bytes
}

/** The id of the device with this order; undefined if it is being opened or has been closed. */
function idOf(order: DeviceOrder): string | undefined {
  for (const device of openDevices.values()) if (device.order === order) return device.id
  return undefined
}

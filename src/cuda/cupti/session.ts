/**
 * CUPTI while at least one timeline of this thread uses it. It exists once in a process, so another thread's timelines must do
 * without, and its records are of all devices.
 */
import { AuxstreamError } from "../../common/errors.js"
import { readText } from "../native/ffi.js"
import { Brackets } from "./brackets.js"
import { CuptiBuffers } from "./buffers.js"
import { CuptiClock } from "./clock.js"
import { type CuptiLibrary, openCupti } from "./cupti.js"
import { Detachment } from "./detachment.js"
import { type Activity, readRecords, type RecordReader } from "./records.js"

/** Receives the activities of one device. */
export interface ActivitySink {
  /** The device's ordinal. */
  readonly device: number
  /** @param operation its number; undefined if the device's work was not queued through a timeline */
  ran(operation: number | undefined, activity: Activity, clock: CuptiClock): void
  lost(count: number): void
}

export class CuptiSession implements RecordReader {
  readonly cupti: CuptiLibrary
  readonly brackets = new Brackets()
  readonly #buffers: CuptiBuffers
  readonly #clock: CuptiClock
  readonly #sinks = new Set<ActivitySink>()
  /** The operation in which each driver call was made. */
  readonly #operations = new Map<number, number>()
  readonly #texts = new Map<number, string>()
  #read: Activity[] = []
  /** Activities whose driver call's record was not there yet. */
  #unlinked: Activity[] = []
  #refused: number

  /** @throws Error if CUPTI cannot be used; then nothing records */
  constructor(driverMajor: number) {
    this.cupti = openCupti(driverMajor)
    this.#buffers = new CuptiBuffers()
    if (this.#buffers.acquire() === "held") {
      throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", "CUPTI is used by a trace of another thread of this process")
    }
    try {
      this.#buffers.take(() => {}) // The records of a thread that ended while it traced.
      this.cupti.start(this.#buffers.callbacks)
      this.#clock = new CuptiClock(this.cupti)
    } catch (error) {
      this.cupti.stop()
      this.#buffers.release()
      throw error
    }
    this.#refused = this.#buffers.refused
  }

  add(sink: ActivitySink): void {
    this.#sinks.add(sink)
  }

  /** Removes a timeline. The last one ends the session. @returns whether it has ended */
  remove(sink: ActivitySink): boolean {
    this.collect(true)
    this.#sinks.delete(sink)
    if (this.#sinks.size > 0) return false
    this.cupti.stop()
    detachment = new Detachment(this.cupti, this.#buffers)
    detachment.begin()
    return true
  }

  /**
   * Passes on what CUPTI has recorded. `all`: also buffers in which records of running work are missing. Otherwise CUPTI keeps such
   * a buffer, with the records of work that is over.
   */
  collect(all = false): void {
    this.cupti.flush(all)
    this.#clock.synchronize()
    this.#buffers.take((buffer) => readRecords(this.cupti, buffer, this))
    const late = this.#unlinked
    const read = this.#read
    this.#unlinked = []
    this.#read = []
    for (const activity of late) this.#pass(activity, true)
    for (const activity of read) this.#pass(activity, all)
    this.#reportLost()
  }

  linked(correlation: number, operation: number): void {
    this.#operations.set(correlation, operation)
    this.brackets.linked(correlation, operation)
  }

  text(address: number): string {
    const known = this.#texts.get(address)
    if (known !== undefined) return known
    const text = readText(address)
    this.#texts.set(address, text)
    return text
  }

  ran(activity: Activity): void {
    this.#read.push(activity)
  }

  #pass(activity: Activity, isLast: boolean): void {
    const { correlation, stream } = activity
    const operation = this.#operations.get(correlation) ?? this.brackets.operationOf(correlation, stream)
    if (operation === undefined && !isLast) {
      this.#unlinked.push(activity)
      return
    }
    for (const sink of this.#sinks) {
      if (sink.device === activity.device) sink.ran(operation, activity, this.#clock)
    }
  }

  /** A refused buffer may have cost several records, but at least one. */
  #reportLost(): void {
    const refused = this.#buffers.refused
    const lost = Math.max(this.cupti.dropped(), refused - this.#refused)
    this.#refused = refused
    const [sink] = this.#sinks
    if (lost > 0) sink?.lost(lost)
  }
}

let current: CuptiSession | undefined
/** Of the session before. */
let detachment: Detachment | undefined

/** The session of this thread, started if necessary. @throws Error if CUPTI cannot be used */
export function cuptiSession(driverMajor: number): CuptiSession {
  detachment?.cancel()
  current ??= new CuptiSession(driverMajor)
  return current
}

/** Removes a timeline from the session. */
export function leaveSession(sink: ActivitySink): void {
  if (current?.remove(sink) === true) current = undefined
}

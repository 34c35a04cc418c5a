/**
 * Which steps used which bytes last, by device address: so two arrays that wrap the same memory conflict, and an array
 * conflicts with the former owner of recycled memory. Exact: views conflict if they overlap, and rows only with rows.
 *
 * The bytes in use are cut into segments, so that all bytes of a segment have the same newest writer and readers. An access
 * first cuts the segments at its own borders. Cutting changes nothing that the history knows.
 */
import { overlap, type StridedRange } from "../common/strided.js"
import type { Access } from "../runtime/order/observer/operation.js"
import type { RegionStreams } from "./region-streams.js"
import type { Step } from "./step.js"

/** An access to some of a segment's bytes: rows with gaps between them. */
interface RowUse {
  readonly step: Step
  readonly range: StridedRange
  readonly isWrite: boolean
}

const none: readonly never[] = []

/** Bytes that have the same newest writer and readers. */
export class Segment {
  readonly begin: number
  end: number
  writer: Step | undefined
  /** The newest step that has read it since. */
  reader: Step | undefined
  /** Earlier ones that are not ordered before it. */
  readers: readonly Step[] = none
  /** Accesses to some of the bytes only. */
  rows: readonly RowUse[] = none
  /** The number of the latest search whose uses of this segment were counted, so that they are counted once. */
  counted = -1

  constructor(begin: number, end: number) {
    this.begin = begin
    this.end = end
  }
}

/** Called for each segment in which an access conflicts with an earlier step. */
export type ConflictListener = (step: Step, access: Access, segment: Segment, wasWrite: boolean) => void

/**
 * It makes no garbage in the usual case, where each access covers one segment: every launch in a region calls it.
 */
export class History {
  readonly #streams: RegionStreams
  listener: ConflictListener | undefined
  /** Sorted by their begin. They do not overlap. */
  #segments: Segment[] = []
  /** By the lower 32 bits of their begin: numbers above 2 ** 31, as addresses on CUDA are, are much slower keys. */
  readonly #byBegin = new Map<number, Segment>()
  #byteLength = 0
  /** The conflicts of the latest search, the newest first. Only the first {@link conflictCount} count. */
  readonly conflicts: Step[] = []
  #conflictCount = 0
  #search = 0
  #hasSplit = false
  /** The segments of the latest search: for each access in order, those that it covers, and where they end in the list. */
  readonly #covered: Segment[] = []
  #coveredCount = 0
  readonly #ends: number[] = []

  constructor(streams: RegionStreams) {
    this.#streams = streams
  }

  /** The bytes that have been used. */
  get byteLength(): number {
    return this.#byteLength
  }

  get conflictCount(): number {
    return this.#conflictCount
  }

  /** Finds the steps with which an operation conflicts: those that used the same bytes, if one of the two writes. */
  search(accesses: readonly Access[]): void {
    this.#conflictCount = 0
    this.#search += 1
    // A cut may divide what a former access of the operation covers. The second time, all borders are there.
    if (this.#coverAll(accesses)) this.#coverAll(accesses)
    let at = 0
    for (let index = 0; index < accesses.length; index++) {
      const access = accesses[index]
      const end = this.#ends[index] ?? 0
      for (; at < end; at++) {
        const segment = this.#covered[at]
        if (access !== undefined && segment !== undefined) this.#compare(access, segment)
      }
    }
  }

  /** @returns whether a segment was divided */
  #coverAll(accesses: readonly Access[]): boolean {
    this.#hasSplit = false
    this.#coveredCount = 0
    for (let index = 0; index < accesses.length; index++) {
      const access = accesses[index]
      if (access !== undefined) this.#cover(access)
      this.#ends[index] = this.#coveredCount
    }
    return this.#hasSplit
  }

  /** Adds a conflict, if it is not one already. */
  add(step: Step): void {
    if (step.found === this.#search) return
    step.found = this.#search
    const { conflicts } = this
    let place = this.#conflictCount++
    for (; place > 0; place--) {
      const newer = conflicts[place - 1]
      if (newer === undefined || newer.index > step.index) break
      conflicts[place] = newer
    }
    conflicts[place] = step
  }

  /** How many uses of a step end if the accesses of the latest search are noted: those of bytes that they write. */
  replaced(step: Step, accesses: readonly Access[]): number {
    let count = 0
    let at = 0
    for (let index = 0; index < accesses.length; index++) {
      const access = accesses[index]
      const end = this.#ends[index] ?? 0
      for (; at < end; at++) {
        const segment = this.#covered[at]
        if (access === undefined || segment === undefined || access.mode === "read" || !isDense(access)) continue
        if (segment.counted === this.#search) continue
        segment.counted = this.#search
        if (segment.writer === step) count += 1
        if (segment.reader === step) count += 1
      }
    }
    return count
  }

  /** Notes the accesses of the latest search as those of a step. */
  note(step: Step, accesses: readonly Access[]): void {
    let at = 0
    for (let index = 0; index < accesses.length; index++) {
      const access = accesses[index]
      const end = this.#ends[index] ?? 0
      for (; at < end; at++) {
        const segment = this.#covered[at]
        if (access === undefined || segment === undefined) continue
        if (isDense(access)) this.#noteDense(step, segment, access.mode !== "read")
        else this.#noteRows(step, segment, access)
      }
    }
  }

  /** Forgets everything: all later operations run after all earlier ones. */
  clear(): void {
    if (this.#segments.length === 0) return
    for (const segment of this.#segments) this.#empty(segment)
    this.#segments = []
    this.#byBegin.clear()
    this.#byteLength = 0
    this.#coveredCount = 0
  }

  #empty(segment: Segment): void {
    const { writer, reader } = segment
    segment.writer = undefined
    segment.reader = undefined
    if (writer !== undefined) this.#streams.unuse(writer)
    if (reader !== undefined) this.#streams.unuse(reader)
    if (segment.readers.length > 0) {
      for (const other of segment.readers) this.#streams.unuse(other)
      segment.readers = none
    }
    if (segment.rows.length === 0) return
    for (const { step } of segment.rows) this.#streams.unuse(step)
    segment.rows = none
  }

  #compare(access: Access, segment: Segment): void {
    if (segment.rows.length > 0 || !isDense(access)) return this.#compareRows(access, segment)
    if (segment.writer !== undefined) this.#conflict(segment.writer, access, segment, true)
    if (access.mode !== "read") this.#compareReaders(access, segment)
  }

  #compareReaders(access: Access, segment: Segment): void {
    if (segment.reader !== undefined) this.#conflict(segment.reader, access, segment, false)
    if (segment.readers.length > 0) for (const reader of segment.readers) this.#conflict(reader, access, segment, false)
  }

  #compareRows(access: Access, segment: Segment): void {
    const range = isDense(access) ? rangeOf(segment) : access
    if (!overlap(range, rangeOf(segment))) return
    const isWrite = access.mode !== "read"
    if (segment.writer !== undefined) this.#conflict(segment.writer, access, segment, true)
    if (isWrite) this.#compareReaders(access, segment)
    for (const use of segment.rows) {
      if ((isWrite || use.isWrite) && overlap(range, use.range)) {
        this.#conflict(use.step, access, segment, use.isWrite)
      }
    }
  }

  #conflict(step: Step, access: Access, segment: Segment, wasWrite: boolean): void {
    this.add(step)
    this.listener?.(step, access, segment, wasWrite)
  }

  #noteDense(step: Step, segment: Segment, isWrite: boolean): void {
    step.uses += 1
    if (!isWrite) return this.#noteRead(step, segment)
    this.#empty(segment)
    segment.writer = step
  }

  /** A reader replaces those that it runs after. */
  #noteRead(step: Step, segment: Segment): void {
    const { reader, readers } = segment
    segment.reader = step
    if (reader === undefined) return
    if (readers.length > 0) segment.readers = readers.filter((other) => !this.#isReplaced(other, step))
    if (!this.#isReplaced(reader, step)) segment.readers = [...segment.readers, reader]
  }

  #isReplaced(reader: Step, step: Step): boolean {
    if (!step.stream.isAfter(reader)) return false
    this.#streams.unuse(reader)
    return true
  }

  #noteRows(step: Step, segment: Segment, { address, width, pitch, rows: count, mode }: Access): void {
    const range = { address, width, pitch, rows: count }
    if (!overlap(range, rangeOf(segment))) return
    const isWrite = mode !== "read"
    const kept: RowUse[] = []
    for (const use of segment.rows) {
      const isReplaced = isSame(use.range, range) && (isWrite || !use.isWrite) && step.stream.isAfter(use.step)
      if (isReplaced) this.#streams.unuse(use.step)
      else kept.push(use)
    }
    step.uses += 1
    kept.push({ step, range, isWrite })
    segment.rows = kept
  }

  /** Finds the segments of an access, and cuts and makes them so that they cover exactly its bytes. */
  #cover(access: Access): void {
    const begin = access.address
    const end = endOf(access)
    if (end <= begin) return
    const known = this.#byBegin.get(begin | 0)
    if (known !== undefined && known.begin === begin && known.end === end) this.#covered[this.#coveredCount++] = known
    else this.#cut(begin, end)
  }

  #cut(begin: number, end: number): void {
    const segments = this.#segments
    let place = this.#firstAfter(begin)
    for (let at = begin; at < end; place++) {
      const next = segments[place]
      if (next === undefined || next.begin >= end) {
        at = this.#insert(place, at, end)
      } else if (next.begin > at) {
        at = this.#insert(place, at, next.begin)
      } else if (next.begin < at) {
        this.#split(place, at)
      } else {
        if (next.end > end) this.#split(place, end)
        this.#covered[this.#coveredCount++] = next
        at = next.end
      }
    }
  }

  /** The index of the first segment that ends after an address. */
  #firstAfter(address: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#segments[middle]?.end ?? Infinity) <= address) low = middle + 1
      else high = middle
    }
    return low
  }

  #insert(place: number, begin: number, end: number): number {
    const segment = new Segment(begin, end)
    this.#segments.splice(place, 0, segment)
    this.#byBegin.set(begin | 0, segment)
    this.#byteLength += end - begin
    this.#covered[this.#coveredCount++] = segment
    return end
  }

  #split(place: number, at: number): void {
    const segment = this.#segments[place]
    if (segment === undefined) return
    const rest = new Segment(at, segment.end)
    segment.end = at
    rest.writer = segment.writer
    rest.reader = segment.reader
    rest.readers = segment.readers
    rest.rows = segment.rows
    if (rest.writer !== undefined) rest.writer.uses += 1
    if (rest.reader !== undefined) rest.reader.uses += 1
    for (const reader of rest.readers) reader.uses += 1
    for (const use of rest.rows) use.step.uses += 1
    this.#segments.splice(place + 1, 0, rest)
    this.#byBegin.set(at | 0, rest)
    this.#hasSplit = true
  }
}

/** Whether the access has no gaps. */
function isDense({ rows, width, pitch }: Access): boolean {
  return rows === 1 || width === pitch
}

function endOf({ address, width, pitch, rows }: Access): number {
  return width === 0 ? address : address + (rows - 1) * pitch + width
}

function rangeOf({ begin, end }: Segment): StridedRange {
  return { address: begin, width: end - begin, pitch: end - begin, rows: 1 }
}

function isSame(one: StridedRange, other: StridedRange): boolean {
  return (
    one.address === other.address && one.width === other.width && one.pitch === other.pitch && one.rows === other.rows
  )
}

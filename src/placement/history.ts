/**
 * Which steps used which bytes last, by device address: so two arrays that wrap the same memory conflict, and an array
 * conflicts with the former owner of recycled memory. Exact: views conflict if they overlap, and rows only with rows.
 *
 * The bytes in use are cut into segments, so that all bytes of a segment have the same newest writer and readers. An access
 * first cuts the segments at its own borders. Cutting changes nothing that the history knows.
 */
import { overlap, type StridedRange } from "../common/strided.js"
import type { Access } from "../runtime/order/operation.js"
import type { RegionStreams } from "./region-streams.js"
import type { Step } from "./step.js"

/** An access to some of a segment's bytes: rows with gaps between them. */
interface RowUse {
  readonly step: Step
  readonly range: StridedRange
  readonly isWrite: boolean
}

/** Bytes that have the same newest writer and readers. */
export class Segment {
  readonly begin: number
  end: number
  writer: Step | undefined
  /** Those that read it since. */
  readers: Step[] = []
  rows: RowUse[] | undefined

  constructor(begin: number, end: number) {
    this.begin = begin
    this.end = end
  }
}

/** Called for each segment in which an access conflicts with an earlier step. */
export type ConflictListener = (step: Step, access: Access, segment: Segment, wasWrite: boolean) => void

export class History {
  readonly #streams: RegionStreams
  readonly #listener: ConflictListener | undefined
  /** Sorted by their begin. They do not overlap. */
  #segments: Segment[] = []
  readonly #byBegin = new Map<number, Segment>()
  /** The conflicts of the latest search. */
  readonly conflicts: Step[] = []
  #newest: Step | undefined
  #search = 0
  #hasSplit = false
  /** The segments of the latest search: for each access in order, those that it covers. */
  readonly #covered: Segment[] = []
  readonly #ends: number[] = []

  constructor(streams: RegionStreams, listener: ConflictListener | undefined) {
    this.#streams = streams
    this.#listener = listener
  }

  /** The newest conflict of the latest search. */
  get newest(): Step | undefined {
    return this.#newest
  }

  /** Finds the steps with which an operation conflicts: those that used the same bytes, if one of the two writes. */
  search(accesses: readonly Access[]): void {
    this.conflicts.length = 0
    this.#newest = undefined
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
    this.#covered.length = 0
    this.#ends.length = 0
    for (const access of accesses) {
      this.#cover(access)
      this.#ends.push(this.#covered.length)
    }
    return this.#hasSplit
  }

  /** Adds a conflict for another reason than memory. */
  add(step: Step): void {
    if (step.found === this.#search) return
    step.found = this.#search
    this.conflicts.push(step)
    if (this.#newest === undefined || step.index > this.#newest.index) this.#newest = step
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
    for (const segment of this.#segments) {
      if (segment.writer !== undefined) this.#streams.unuse(segment.writer)
      for (const reader of segment.readers) this.#streams.unuse(reader)
      for (const { step } of segment.rows ?? none) this.#streams.unuse(step)
    }
    this.#segments = []
    this.#byBegin.clear()
    this.#covered.length = 0
    this.#ends.length = 0
  }

  #compare(access: Access, segment: Segment): void {
    const isWrite = access.mode !== "read"
    if (segment.rows !== undefined || !isDense(access)) return this.#compareRows(access, segment, isWrite)
    if (segment.writer !== undefined) this.#conflict(segment.writer, access, segment, true)
    if (isWrite) for (const reader of segment.readers) this.#conflict(reader, access, segment, false)
  }

  #compareRows(access: Access, segment: Segment, isWrite: boolean): void {
    const range = isDense(access) ? rangeOf(segment) : access
    if (!overlap(range, rangeOf(segment))) return
    if (segment.writer !== undefined) this.#conflict(segment.writer, access, segment, true)
    if (isWrite) for (const reader of segment.readers) this.#conflict(reader, access, segment, false)
    for (const use of segment.rows ?? none) {
      if ((isWrite || use.isWrite) && overlap(range, use.range)) {
        this.#conflict(use.step, access, segment, use.isWrite)
      }
    }
  }

  #conflict(step: Step, access: Access, segment: Segment, wasWrite: boolean): void {
    this.add(step)
    this.#listener?.(step, access, segment, wasWrite)
  }

  #noteDense(step: Step, segment: Segment, isWrite: boolean): void {
    if (!isWrite) return this.#noteRead(step, segment)
    const { writer, readers, rows } = segment
    step.uses += 1
    segment.writer = step
    if (writer !== undefined) this.#streams.unuse(writer)
    if (readers.length > 0) {
      for (const reader of readers) this.#streams.unuse(reader)
      readers.length = 0
    }
    if (rows === undefined) return
    for (const use of rows) this.#streams.unuse(use.step)
    segment.rows = undefined
  }

  /** A reader replaces those that it runs after. */
  #noteRead(step: Step, { readers }: Segment): void {
    step.uses += 1
    let kept = 0
    for (const reader of readers) {
      if (step.stream.isAfter(reader)) this.#streams.unuse(reader)
      else readers[kept++] = reader
    }
    readers.length = kept
    readers.push(step)
  }

  #noteRows(step: Step, segment: Segment, { address, width, pitch, rows: count, mode }: Access): void {
    const range = { address, width, pitch, rows: count }
    if (!overlap(range, rangeOf(segment))) return
    const isWrite = mode !== "read"
    const kept: RowUse[] = []
    for (const use of segment.rows ?? none) {
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
    const known = this.#byBegin.get(begin)
    if (known !== undefined && known.end === end) this.#covered.push(known)
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
        this.#covered.push(next)
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
    this.#byBegin.set(begin, segment)
    this.#covered.push(segment)
    return end
  }

  #split(place: number, at: number): void {
    const segment = this.#segments[place]
    if (segment === undefined) return
    const rest = new Segment(at, segment.end)
    segment.end = at
    rest.writer = segment.writer
    rest.readers = [...segment.readers]
    rest.rows = segment.rows && [...segment.rows]
    if (rest.writer !== undefined) rest.writer.uses += 1
    for (const reader of rest.readers) reader.uses += 1
    for (const use of rest.rows ?? none) use.step.uses += 1
    this.#segments.splice(place + 1, 0, rest)
    this.#byBegin.set(at, rest)
    this.#hasSplit = true
  }
}

const none: readonly RowUse[] = []

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

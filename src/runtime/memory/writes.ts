import type { StreamFailures } from "../../driver/streams.js"
import { type Range, Ranges } from "../../common/ranges.js"
import { tell } from "../order/told-failures.js"

/** The empty list that all objects without older writes share. It must never be changed. */
const none: Write[] = []

/** The number of writes that are kept before those that no longer matter are removed. */
const crowd = 8

/** The newest write of one stream to some bytes of the memory. An older one fails whenever this one does. */
interface Write extends Range {
  readonly stream: StreamFailures
  readonly position: number
  /** Whether it overwrites all of its bytes, so that older writes to them no longer matter. */
  readonly overwrites: boolean
}

/**
 * The writes to a piece of memory, on devices where a kernel's failure breaks only its stream. Operations after the failure
 * are skipped, so the contents that they should have written are undefined, and must not be used before they are
 * overwritten. Usually there is a single write, so the newest has fields of its own.
 *
 * Writes that are done or overwritten are removed only when the list has doubled, so that the cost of a write does not
 * depend on their number. Until then, the order of the list tells which writes an overwrite hides.
 */
export class Writes {
  #stream: StreamFailures | undefined
  #position = 0
  #begin = 0
  #end = 0
  #overwrites = false
  /** The older writes, the newest of them last. */
  #older: Write[] = none
  #limit = crowd

  /** Notes that the operation queued last on a stream writes some of these bytes. */
  note(stream: StreamFailures, begin: number, byteLength: number): void {
    if (stream === this.#stream && begin === this.#begin && begin + byteLength === this.#end) {
      this.#position = stream.position
    } else {
      this.#noteAnother(stream, begin, begin + byteLength, false)
    }
  }

  /** Notes that the operation queued last on a stream overwrites all of these bytes. */
  overwrite(stream: StreamFailures, begin: number, byteLength: number): void {
    const end = begin + byteLength
    const isCovered = this.#stream === undefined || (begin <= this.#begin && this.#end <= end)
    if (!isCovered) this.#noteAnother(stream, begin, end, true)
    else if (this.#overwrites && stream === this.#stream && begin === this.#begin && end === this.#end) {
      this.#position = stream.position
    } else {
      this.#setNewest(stream, begin, end, true)
    }
  }

  #noteAnother(stream: StreamFailures, begin: number, end: number, overwrites: boolean): void {
    const former = this.#newest()
    if (former !== undefined) this.#makeRoom(former, { stream, begin, end, overwrites })
    this.#setNewest(stream, begin, end, overwrites)
  }

  #setNewest(stream: StreamFailures, begin: number, end: number, overwrites: boolean): void {
    this.#stream = stream
    this.#position = stream.position
    this.#begin = begin
    this.#end = end
    this.#overwrites = overwrites
  }

  #newest(): Write | undefined {
    if (this.#stream === undefined) return undefined
    const overwrites = this.#overwrites
    return { stream: this.#stream, position: this.#position, begin: this.#begin, end: this.#end, overwrites }
  }

  /**
   * Makes another write the newest, and moves the previous one to the older writes. There it replaces a write like the new
   * one, if there is one and if the order of the list stays correct.
   */
  #makeRoom(former: Write, next: Omit<Write, "position">): void {
    const older = this.#older
    for (let index = older.length - 1; index >= 0 && index >= older.length - crowd; index--) {
      const write = older[index]
      if (write === undefined || isOrdered(write, former)) break
      if (write.stream !== next.stream || write.begin !== next.begin || write.end !== next.end) continue
      if (write.overwrites && !next.overwrites) break
      older[index] = former
      return
    }
    if (older.length >= this.#limit) this.#forget()
    if (this.#older === none) this.#older = [former]
    else this.#older.push(former)
  }

  /**
   * Throws if a failed operation, or one that was skipped because of it, should have written these bytes.
   *
   * @param by the stream that wants to use them. If it is broken itself, it refuses all operations anyway
   */
  check(begin: number, byteLength: number, by?: StreamFailures): void {
    const stream = this.#stream
    if (stream === undefined || !stream.arePossible || (stream === by && this.#older.length === 0)) return
    const end = begin + byteLength
    const overwritten = new Ranges()
    for (const write of this.#newestFirst()) {
      const from = Math.max(begin, write.begin)
      const to = Math.min(end, write.end)
      if (from >= to) continue
      const failure = write.stream === by ? undefined : write.stream.before(write.position)
      if (failure !== undefined && !overwritten.covers(from, to)) throw tell(failure)
      if (write.overwrites) overwritten.add(from, to)
    }
  }

  #newestFirst(): Write[] {
    const newest = this.#newest()
    return newest === undefined ? [] : [...this.#older, newest].reverse()
  }

  /** Removes the writes that are done or overwritten, and older ones that the same stream has repeated. */
  #forget(): void {
    const overwritten = new Ranges()
    const repeated = new Repeated()
    const kept: Write[] = []
    for (const write of this.#older.toReversed()) {
      const { stream, position, begin, end, overwrites } = write
      const left = overwritten.outside(begin, end)
      if (overwrites) overwritten.add(begin, end)
      if (left.length === 0 || isDone(stream, position)) continue
      for (const range of left) if (!repeated.has(stream, range)) kept.push({ ...write, ...range })
    }
    this.#older = kept.reverse()
    this.#limit = Math.max(crowd, 2 * kept.length)
  }
}

/** A set of byte ranges with their streams. */
class Repeated {
  readonly #seen = new Map<StreamFailures, Set<string>>()

  /** Whether the set has this range and stream. Adds them. */
  has(stream: StreamFailures, { begin, end }: Range): boolean {
    const bytes = `${begin}-${end}`
    const known = this.#seen.get(stream)
    if (known?.has(bytes) === true) return true
    if (known === undefined) this.#seen.set(stream, new Set([bytes]))
    else known.add(bytes)
    return false
  }
}

/** Whether the order of the two writes matters. */
function isOrdered(one: Write, other: Write): boolean {
  return (one.overwrites || other.overwrites) && one.begin < other.end && other.begin < one.end
}

function isDone(stream: StreamFailures, position: number): boolean {
  return stream.hasPassed(position) && stream.before(position) === undefined
}

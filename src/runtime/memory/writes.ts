import type { StreamFailures } from "../../driver.js"
import { tell } from "../order/told-failures.js"

/** Shared by all that have no older writes, and never changed. */
const none: Write[] = []

/** So many writes are kept before those that are done are looked for. */
const crowd = 8

/** The newest write of one stream to some bytes of the memory. An older one fails whenever this one does. */
interface Write {
  stream: StreamFailures
  position: number
  begin: number
  end: number
}

/**
 * Which bytes of a piece of memory have been written, on devices where a kernel's failure breaks its stream alone.
 * Operations behind the failure are skipped: what they should have written is garbage, which nobody may use before it
 * is overwritten. Writes that are done are forgotten. Mostly there is a single one, which is why the newest has fields of
 * its own.
 */
export class Writes {
  #stream: StreamFailures | undefined
  #position = 0
  #begin = 0
  #end = 0
  #older: Write[] = none
  #limit = crowd

  /** The operation queued last on a stream writes these bytes, or some of them. */
  note(stream: StreamFailures, begin: number, byteLength: number): void {
    if (stream === this.#stream && begin === this.#begin && begin + byteLength === this.#end) {
      this.#position = stream.position
    } else {
      this.#noteAnother(stream, begin, begin + byteLength)
    }
  }

  #noteAnother(stream: StreamFailures, begin: number, end: number): void {
    this.#makeRoom(stream, begin, end)
    this.#setNewest(stream, begin, end)
  }

  #setNewest(stream: StreamFailures, begin: number, end: number): void {
    this.#stream = stream
    this.#position = stream.position
    this.#begin = begin
    this.#end = end
  }

  /** The operation queued last on a stream overwrites all of these bytes: what they were before does not matter. */
  overwrite(stream: StreamFailures, begin: number, byteLength: number): void {
    const end = begin + byteLength
    const isCovered = this.#stream === undefined || (begin <= this.#begin && this.#end <= end)
    if (!isCovered || this.#older.length > 0) this.#cutOut(begin, end)
    this.#setNewest(stream, begin, end)
  }

  /**
   * Refuses bytes that a failed operation should have written, or one that was skipped because of it.
   *
   * @param by the stream that wants to use them, which refuses everything by itself if it is the broken one
   */
  check(begin: number, byteLength: number, by?: StreamFailures): void {
    const stream = this.#stream
    if (stream === undefined || !stream.arePossible || (stream === by && this.#older.length === 0)) return
    for (const write of this.#all()) {
      if (write.stream === by || write.begin >= begin + byteLength || write.end <= begin) continue
      const failure = write.stream.before(write.position)
      if (failure !== undefined) throw tell(failure)
    }
  }

  /** The newest comes last. */
  #all(): Write[] {
    if (this.#stream === undefined) return []
    return [...this.#older, { stream: this.#stream, position: this.#position, begin: this.#begin, end: this.#end }]
  }

  /** Another write becomes the newest: the one that is it goes to the older ones, in the place of a former one if any. */
  #makeRoom(stream: StreamFailures, begin: number, end: number): void {
    if (this.#stream === undefined) return
    const former = { stream: this.#stream, position: this.#position, begin: this.#begin, end: this.#end }
    const older = this.#older
    for (let index = older.length - 1; index >= 0 && index >= older.length - crowd; index--) {
      const write = older[index]
      if (write?.stream !== stream || write.begin !== begin || write.end !== end) continue
      older[index] = former
      return
    }
    if (older.length >= this.#limit) this.#forgetDone()
    if (this.#older === none) this.#older = [former]
    else this.#older.push(former)
  }

  /** Forgets these bytes, of which a write comes that is the newest. */
  #cutOut(begin: number, end: number): void {
    this.#older = this.#all().flatMap((write) => without(write, begin, end))
  }

  /** Where so many are left, the next look comes later, so that a write costs the same however many there are. */
  #forgetDone(): void {
    this.#older = newestOfEach(this.#older.filter(({ stream, position }) => !isDone(stream, position)))
    this.#limit = Math.max(crowd, 2 * this.#older.length)
  }
}

/** Of the writes of one stream to the same bytes, the newest. */
function newestOfEach(writes: readonly Write[]): Write[] {
  const seen = new Map<StreamFailures, Set<string>>()
  return writes
    .toReversed()
    .filter(({ stream, begin, end }) => {
      const bytes = `${begin}-${end}`
      const known = seen.get(stream)
      if (known === undefined) seen.set(stream, new Set([bytes]))
      else if (known.has(bytes)) return false
      else known.add(bytes)
      return true
    })
    .toReversed()
}

function isDone(stream: StreamFailures, position: number): boolean {
  return stream.hasPassed(position) && stream.before(position) === undefined
}

/** What is left of a write, but for these bytes. */
function without(write: Write, begin: number, end: number): Write[] {
  if (write.begin >= end || write.end <= begin) return [write]
  const left: Write[] = []
  if (write.begin < begin) left.push({ ...write, end: begin })
  if (write.end > end) left.push({ ...write, begin: end })
  return left
}

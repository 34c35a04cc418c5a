import type { StreamFailures } from "../../driver.js"
import { type Range, Ranges } from "./ranges.js"
import { tell } from "../order/told-failures.js"

/** Shared by all that have no older writes, and never changed. */
const none: Write[] = []

/** So many writes are kept before those that no longer matter are looked for. */
const crowd = 8

/** The newest write of one stream to some bytes of the memory. An older one fails whenever this one does. */
interface Write extends Range {
  readonly stream: StreamFailures
  readonly position: number
  /** Does it overwrite all of its bytes, so that older writes to them no longer matter? */
  readonly overwrites: boolean
}

/**
 * Which bytes of a piece of memory have been written, on devices where a kernel's failure breaks its stream alone.
 * Operations behind the failure are skipped: what they should have written is garbage, which nobody may use before it
 * is overwritten. Mostly there is a single write, which is why the newest has fields of its own.
 *
 * Writes that are done or overwritten are dropped only when the list has doubled, so that a write costs the same however
 * many there are. Until then, the order of the list says which write an overwrite hides.
 */
export class Writes {
  #stream: StreamFailures | undefined
  #position = 0
  #begin = 0
  #end = 0
  #overwrites = false
  /** The newest comes last. */
  #older: Write[] = none
  #limit = crowd

  /** The operation queued last on a stream writes these bytes, or some of them. */
  note(stream: StreamFailures, begin: number, byteLength: number): void {
    if (stream === this.#stream && begin === this.#begin && begin + byteLength === this.#end) {
      this.#position = stream.position
    } else {
      this.#noteAnother(stream, begin, begin + byteLength, false)
    }
  }

  /** The operation queued last on a stream overwrites all of these bytes: what they were before does not matter. */
  overwrite(stream: StreamFailures, begin: number, byteLength: number): void {
    const end = begin + byteLength
    const isCovered = this.#stream === undefined || (begin <= this.#begin && this.#end <= end)
    if (isCovered) this.#setNewest(stream, begin, end, true)
    else this.#noteAnother(stream, begin, end, true)
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
   * Another write becomes the newest: the one that is it goes to the older ones. It takes the place of a former write
   * like the new one, if there is any and the order of the list stays what it says.
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
   * Refuses bytes that a failed operation should have written, or one that was skipped because of it.
   *
   * @param by the stream that wants to use them, which refuses everything by itself if it is the broken one
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

  /** Drops the writes that are done or overwritten, and of those that a stream repeats all but the newest. */
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

/** Which bytes of which stream have come by. */
class Repeated {
  readonly #seen = new Map<StreamFailures, Set<string>>()

  /** Have these? From here on they have. */
  has(stream: StreamFailures, { begin, end }: Range): boolean {
    const bytes = `${begin}-${end}`
    const known = this.#seen.get(stream)
    if (known?.has(bytes) === true) return true
    if (known === undefined) this.#seen.set(stream, new Set([bytes]))
    else known.add(bytes)
    return false
  }
}

/** Does it matter which of the two comes first? */
function isOrdered(one: Write, other: Write): boolean {
  return (one.overwrites || other.overwrites) && one.begin < other.end && other.begin < one.end
}

function isDone(stream: StreamFailures, position: number): boolean {
  return stream.hasPassed(position) && stream.before(position) === undefined
}

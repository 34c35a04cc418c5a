/**
 * The accesses of each byte of a device's memory: segments of bytes that have the same past. They never overlap, and are
 * sorted by address. Bytes between segments have no past.
 */
import type { Birth, Point } from "./birth.js"
import type { PastAccess } from "./past-access.js"

/** Bytes from `begin` up to, but not including, `end`. */
export class Segment {
  begin: number
  end: number
  accesses: PastAccess[]
  /** Of the array that has these bytes, as long as an operation may be unordered with it. */
  birth: Birth | undefined
  /** Counts up whenever its bytes or its accesses change. */
  version = 0

  constructor(begin: number, end: number, accesses: PastAccess[], birth?: Birth) {
    this.begin = begin
    this.end = end
    this.accesses = accesses
    this.birth = birth
  }
}

const MOST_ARGUMENTS = 1000
const none: readonly Segment[] = []

export class Shadow {
  #segments: Segment[] = []
  /** Each segment by its first byte, because most accesses use exactly the bytes of an earlier one. */
  readonly #byBegin = new Map<number, Segment>()
  /** Counts up whenever segments come, go or change their bytes. */
  shape = 0

  get size(): number {
    return this.#segments.length
  }

  /** The segment with exactly these bytes, if there is one. */
  exactly(begin: number, end: number): Segment | undefined {
    const segment = this.#byBegin.get(begin)
    return segment !== undefined && segment.end === end ? segment : undefined
  }

  /** The segments with at least one of these bytes. */
  overlapping(begin: number, end: number): readonly Segment[] {
    const first = this.#firstAfter(begin)
    let last = first
    while (last < this.#segments.length && this.#at(last).begin < end) last++
    return first === last ? none : this.#segments.slice(first, last)
  }

  /** Segments that have exactly these bytes together. Makes those that are missing, and divides those that reach beyond. */
  tiles(begin: number, end: number): Segment[] {
    const first = this.#firstAfter(begin)
    const tiles: Segment[] = []
    const added: Segment[] = []
    let place = first
    let done = begin
    for (; place < this.#segments.length && this.#at(place).begin < end; place++) {
      const segment = this.#at(place)
      if (segment.begin > done) this.#add(new Segment(done, segment.begin, []), tiles, added)
      else if (segment.begin < begin) added.push(this.#cutHead(segment, begin))
      const tail = segment.end > end ? this.#cutTail(segment, end) : undefined
      tiles.push(segment)
      added.push(segment)
      if (tail !== undefined) added.push(tail)
      done = segment.end
    }
    if (done < end) this.#add(new Segment(done, end, []), tiles, added)
    if (added.length !== place - first || tiles.length !== place - first) {
      this.shape++
      this.#replace(first, place, added)
    }
    return tiles
  }

  /** Replaces the segments from one place up to another. A long list of arguments would overflow the stack. */
  #replace(first: number, last: number, segments: readonly Segment[]): void {
    if (segments.length <= MOST_ARGUMENTS) this.#segments.splice(first, last - first, ...segments)
    else this.#segments = [...this.#segments.slice(0, first), ...segments, ...this.#segments.slice(last)]
  }

  #add(segment: Segment, tiles: Segment[], added: Segment[]): void {
    this.#byBegin.set(segment.begin, segment)
    tiles.push(segment)
    added.push(segment)
  }

  /** Makes the segment begin later. @returns a segment with the bytes before */
  #cutHead(segment: Segment, begin: number): Segment {
    const head = new Segment(segment.begin, begin, copies(segment), segment.birth)
    segment.begin = begin
    segment.version++
    this.#byBegin.set(head.begin, head)
    this.#byBegin.set(begin, segment)
    return head
  }

  #cutTail(segment: Segment, end: number): Segment {
    const tail = new Segment(end, segment.end, copies(segment), segment.birth)
    segment.end = end
    segment.version++
    this.#byBegin.set(end, tail)
    return tail
  }

  /** Makes one segment of several that follow each other without gaps. They must be of one array. */
  unite(tiles: readonly Segment[], accesses: PastAccess[]): void {
    const [first] = tiles
    const last = tiles.at(-1)
    if (first === undefined || last === undefined) return
    for (const tile of tiles) {
      tile.version++
      this.#byBegin.delete(tile.begin)
    }
    this.shape++
    const whole = new Segment(first.begin, last.end, accesses, first.birth)
    this.#byBegin.set(whole.begin, whole)
    this.#segments.splice(this.#firstAfter(first.begin), tiles.length, whole)
  }

  /** Ends the arrays of these bytes. Removes the accesses that do not pass. */
  keep(begin: number, end: number, isKept: (access: PastAccess) => boolean): void {
    if (this.overlapping(begin, end).length === 0) return
    for (const tile of this.tiles(begin, end)) {
      filter(tile, isKept)
      tile.birth = undefined
    }
    const first = this.#firstAfter(begin)
    let last = first
    while (last < this.#segments.length && this.#at(last).begin < end) last++
    this.shape++
    const rest = this.#segments.slice(first, last).filter((segment) => this.#isNeeded(segment))
    this.#replace(first, last, rest)
  }

  #isNeeded({ begin, accesses, birth }: Segment): boolean {
    const isNeeded = accesses.length > 0 || birth !== undefined
    if (!isNeeded) this.#byBegin.delete(begin)
    return isNeeded
  }

  /** Removes all accesses and births that do not pass. */
  keepAll(isKept: (access: PastAccess) => boolean, isOpen: (birth: Birth) => boolean): void {
    for (const segment of this.#segments) {
      filter(segment, isKept)
      if (segment.birth !== undefined && !isOpen(segment.birth)) segment.birth = undefined
    }
    this.shape++
    this.#segments = this.#segments.filter((segment) => this.#isNeeded(segment))
  }

  /** All operations that it refers to. */
  *points(): Generator<Point> {
    for (const { accesses, birth } of this.#segments) {
      for (const { operation } of accesses) yield operation
      if (birth !== undefined) yield* birth.points
    }
  }

  /** The index of the first segment that ends after an address. */
  #firstAfter(address: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#at(middle).end <= address) low = middle + 1
      else high = middle
    }
    return low
  }

  #at(place: number): Segment {
    const segment = this.#segments[place]
    if (segment === undefined) throw new RangeError(`There is no segment ${place}.`)
    return segment
  }
}

function filter(segment: Segment, isKept: (access: PastAccess) => boolean): void {
  segment.accesses = segment.accesses.filter(isKept)
  segment.version++
}

/** Each segment owns its accesses, because a later access replaces them in place. */
function copies({ accesses }: Segment): PastAccess[] {
  return accesses.map((access) => access.copy())
}

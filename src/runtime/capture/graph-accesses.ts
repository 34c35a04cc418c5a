import type { StreamFailures } from "../../driver.js"
import type { Span } from "../memory/used-memory.js"
import type { Writes } from "../memory/writes.js"

interface Range {
  readonly address: number
  readonly byteLength: number
}

/** What a graph does with one piece of memory. */
interface RangesOfMemory {
  readonly reads: Range[]
  /** Some bytes may stay as they are. */
  readonly writes: Range[]
  /** Each launch writes all of these bytes before it uses any. */
  readonly overwrites: Range[]
}

/**
 * What a graph does with memory that was not made inside, on devices where a kernel's failure breaks its stream alone:
 * what a launch needs to be whole, and what its failure leaves as garbage.
 */
export class GraphAccesses {
  readonly #own: Writes
  readonly #ranges = new Map<Writes, RangesOfMemory>()

  /** @param own of memory that is made inside, which each launch writes anew */
  constructor(own: Writes) {
    this.#own = own
  }

  #rangesOf({ writes }: Pick<Span["allocation"], "writes">): RangesOfMemory | undefined {
    if (writes === undefined || writes === this.#own) return undefined
    const known = this.#ranges.get(writes)
    if (known !== undefined) return known
    const ranges = { reads: [], writes: [], overwrites: [] }
    this.#ranges.set(writes, ranges)
    return ranges
  }

  /** The bytes are used as they are. */
  read(span: Span): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges !== undefined) addRead(ranges, span)
  }

  /** Some of the bytes are written. They have been read. */
  write(span: Span): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges !== undefined) addWrite(ranges, span)
  }

  /** All of the bytes are written. */
  overwrite(span: Span): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges !== undefined) addOverwrite(ranges, span)
  }

  /** Another graph, or a body, becomes part of this one. Of a body's operations, none is sure to run. */
  include(part: GraphAccesses, isBody: boolean): void {
    for (const [writes, ranges] of part.#ranges) {
      const mine = this.#rangesOf({ writes })
      if (mine === undefined) continue
      for (const range of ranges.reads) addRead(mine, range)
      for (const range of ranges.writes) addWrite(mine, range)
      for (const range of ranges.overwrites) {
        if (!isBody) addOverwrite(mine, range)
        else {
          addRead(mine, range)
          addWrite(mine, range)
        }
      }
    }
  }

  /** Refuses a launch that would use what a failure has left. */
  check(): void {
    for (const [writes, { reads }] of this.#ranges) {
      for (const { address, byteLength } of reads) writes.check(address, byteLength)
    }
  }

  /** Notes what the launch that was queued last on a stream writes. */
  note(stream: StreamFailures): void {
    for (const [memory, { writes, overwrites }] of this.#ranges) {
      for (const { address, byteLength } of overwrites) memory.overwrite(stream, address, byteLength)
      for (const { address, byteLength } of writes) memory.note(stream, address, byteLength)
    }
  }
}

function addRead({ reads, overwrites }: RangesOfMemory, range: Range): void {
  if (!isWithin(range, overwrites)) add(reads, range)
}

function addWrite({ writes, overwrites }: RangesOfMemory, range: Range): void {
  if (!isWithin(range, overwrites)) add(writes, range)
}

function addOverwrite({ reads, writes, overwrites }: RangesOfMemory, range: Range): void {
  const isUsedBefore = [...reads, ...writes].some((other) => overlap(other, range))
  add(isUsedBefore ? writes : overwrites, range)
}

function add(ranges: Range[], range: Range): void {
  if (!isWithin(range, ranges)) ranges.push({ address: range.address, byteLength: range.byteLength })
}

function isWithin({ address, byteLength }: Range, ranges: readonly Range[]): boolean {
  return ranges.some((outer) => outer.address <= address && outer.address + outer.byteLength >= address + byteLength)
}

function overlap(one: Range, other: Range): boolean {
  return one.address < other.address + other.byteLength && other.address < one.address + one.byteLength
}

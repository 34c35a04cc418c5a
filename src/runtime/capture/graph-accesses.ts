import type { StreamFailures } from "../../driver.js"
import { type Range, Ranges } from "../memory/ranges.js"
import { Allocation } from "../memory/allocation.js"
import { ArenaArray } from "./arena.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import type { Access } from "../order/operation.js"
import type { Span, UsedMemory } from "../memory/used-memory.js"
import type { Writes } from "../memory/writes.js"

/** What a graph does with one piece of memory. */
interface RangesOfMemory {
  readonly reads: Ranges
  /** Some bytes may stay as they are. */
  readonly writes: Ranges
  /** Each launch writes all of these bytes before it uses any. */
  readonly overwrites: Ranges
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
    const ranges = { reads: new Ranges(), writes: new Ranges(), overwrites: new Ranges() }
    this.#ranges.set(writes, ranges)
    return ranges
  }

  /** The bytes are used as they are. */
  read(span: Span): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges !== undefined) addRead(ranges, rangeOf(span))
  }

  /** The bytes are written: all of them, or some of bytes that have been read. */
  write(span: Span, overwrites: boolean): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges === undefined) return
    if (overwrites) addOverwrite(ranges, rangeOf(span))
    else addWrite(ranges, rangeOf(span))
  }

  /** One operation: it reads before it writes. */
  add(operation: readonly Access[]): void {
    const spans = operation.flatMap((access) => {
      const { address, byteLength, mode } = access
      const allocation = memoryOf(access)
      return allocation === undefined ? [] : [{ span: { allocation, address, byteLength }, mode }]
    })
    for (const { span, mode } of spans) if (mode !== "overwrite") this.read(span)
    for (const { span, mode } of spans) if (mode !== "read") this.write(span, mode === "overwrite")
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
      for (const { begin, end } of reads) writes.check(begin, end - begin)
    }
  }

  /** Notes what the launch that was queued last on a stream writes. */
  note(stream: StreamFailures): void {
    for (const [memory, { writes, overwrites }] of this.#ranges) {
      for (const { begin, end } of overwrites) memory.overwrite(stream, begin, end - begin)
      for (const { begin, end } of writes) memory.note(stream, begin, end - begin)
    }
  }
}

/** The memory of an access. */
export function memoryOf({ memory }: Access): UsedMemory | undefined {
  const isUsed = memory instanceof Allocation || memory instanceof PinnedAllocation || memory instanceof ArenaArray
  return isUsed ? memory : undefined
}

function rangeOf({ address, byteLength }: Span): Range {
  return { begin: address, end: address + byteLength }
}

function addRead({ reads, overwrites }: RangesOfMemory, range: Range): void {
  for (const { begin, end } of overwrites.outside(range.begin, range.end)) reads.add(begin, end)
}

function addWrite({ writes, overwrites }: RangesOfMemory, range: Range): void {
  for (const { begin, end } of overwrites.outside(range.begin, range.end)) writes.add(begin, end)
}

function addOverwrite({ reads, writes, overwrites }: RangesOfMemory, { begin, end }: Range): void {
  const isUsedBefore = reads.overlaps(begin, end) || writes.overlaps(begin, end)
  const ranges = isUsedBefore ? writes : overwrites
  ranges.add(begin, end)
}

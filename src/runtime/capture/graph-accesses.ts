import type { StreamFailures } from "../../driver/streams.js"
import { endOf } from "../../common/strided.js"
import { type Range, Ranges } from "../../common/ranges.js"
import { Allocation } from "../memory/allocation.js"
import { ArenaArray } from "./arena.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import type { Access } from "../order/observer/operation.js"
import type { Span, UsedMemory } from "../memory/used-memory.js"
import type { Writes } from "../memory/writes.js"

/** The bytes of one piece of memory that a graph uses. */
interface RangesOfMemory {
  readonly reads: Ranges
  /** Bytes that may be written; some may stay unchanged. */
  readonly writes: Ranges
  /** Bytes that each launch writes before it reads them. */
  readonly overwrites: Ranges
}

/** Bytes that each launch writes. */
interface LaunchWrite {
  readonly memory: Writes
  readonly begin: number
  readonly byteLength: number
  readonly overwrites: boolean
}

/**
 * What a graph reads and writes of memory that was made outside, on devices where a kernel's failure breaks only its
 * stream. It tells which contents a launch needs, and which contents are undefined if a launch fails.
 */
export class GraphAccesses {
  readonly #own: Writes
  readonly #ranges = new Map<Writes, RangesOfMemory>()
  /** The memory made inside, also inside graphs and bodies that are part of it. */
  readonly #inside: Set<Writes>
  /** All writes as a list, because each launch notes them. Made at the first launch; nothing is added after that. */
  #launchWrites: readonly LaunchWrite[] | undefined

  /** @param own the writes to memory made inside, which each launch writes anew */
  constructor(own: Writes) {
    this.#own = own
    this.#inside = new Set([own])
  }

  #rangesOf({ writes }: Pick<Span["allocation"], "writes">): RangesOfMemory | undefined {
    if (writes === undefined || writes === this.#own) return undefined
    const known = this.#ranges.get(writes)
    if (known !== undefined) return known
    const ranges = { reads: new Ranges(), writes: new Ranges(), overwrites: new Ranges() }
    this.#ranges.set(writes, ranges)
    return ranges
  }

  /** Notes a read. */
  read(span: Span): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges !== undefined) addRead(ranges, rangeOf(span))
  }

  /** Notes a write. @param overwrites whether all of the bytes are written */
  write(span: Span, overwrites: boolean): void {
    const ranges = this.#rangesOf(span.allocation)
    if (ranges === undefined) return
    if (overwrites) addOverwrite(ranges, rangeOf(span))
    else addWrite(ranges, rangeOf(span))
  }

  /** Notes the accesses of one operation. It reads before it writes. */
  add(operation: readonly Access[]): void {
    const spans = operation.flatMap((access) => {
      const { address, mode } = access
      const allocation = memoryOf(access)
      const byteLength = endOf(access) - address
      return allocation === undefined ? [] : [{ span: { allocation, address, byteLength }, mode }]
    })
    for (const { span, mode } of spans) if (mode !== "overwrite") this.read(span)
    for (const { span, mode } of spans) if (mode !== "read") this.write(span, mode === "overwrite")
  }

  /** Adds the accesses of a graph launched inside, or of a body, whose operations may not run. */
  include(part: GraphAccesses, isBody: boolean): void {
    for (const writes of part.#inside) this.#inside.add(writes)
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

  /** Throws if a launch would read contents that a failed kernel should have written. */
  check(): void {
    for (const [writes, { reads }] of this.#ranges) {
      for (const { begin, end } of reads) writes.check(begin, end - begin)
    }
  }

  /** Notes the writes of the launch that was queued last on a stream. */
  note(stream: StreamFailures): void {
    this.#launchWrites ??= this.#listWrites()
    for (const { memory, begin, byteLength, overwrites } of this.#launchWrites) {
      if (overwrites) memory.overwrite(stream, begin, byteLength)
      else memory.note(stream, begin, byteLength)
    }
  }

  #listWrites(): LaunchWrite[] {
    const outside = [...this.#ranges].flatMap(([memory, { writes, overwrites }]) => [
      ...Array.from(overwrites, ({ begin, end }) => ({ memory, begin, byteLength: end - begin, overwrites: true })),
      ...Array.from(writes, ({ begin, end }) => ({ memory, begin, byteLength: end - begin, overwrites: false })),
    ])
    const inside = Array.from(this.#inside, (memory) => ({ memory, begin: 0, byteLength: Infinity, overwrites: true }))
    return [...outside, ...inside]
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

import { Ranges } from "../../common/ranges.js"
import type { ByteRange, CheckedOperation, CheckOptions, Checks, PinnedRead } from "../../driver/checks.js"
import type { StreamHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { nextTick } from "../../common/timers.js"
import { ACCESSES, BREAKS, READ, UNWRITTEN, WRITTEN } from "../checked-kernel/check-words.js"
import type { HostKernel } from "../kernel/kernel-check.js"
import type { ViolationReport } from "../kernel/reports.js"
import type { HostMemory } from "../memory/host-memory.js"
import type { Commands } from "../queue/commands.js"
import type { Queues } from "../queue/queues.js"
import type { Violations } from "../queue/violations.js"
import { arraysAt, arraysIn, besideArrays, checkWords, type CheckedRange } from "./check-list.js"

/** What a session needs from its device. */
export interface SessionParts {
  readonly memory: HostMemory
  readonly queues: Queues
  readonly commands: Commands
  readonly violations: Violations
  /** Reads what workers have posted. */
  drain(): void
}

/** The facts about the next launch. */
interface Description {
  readonly operation: CheckedOperation
  /** What it reads and writes besides its arguments. */
  readonly ranges: readonly CheckedRange[]
}

const UNKNOWN: Description = { operation: { label: "", stream: "", stack: "" }, ranges: [] }

/** A time in which the device checks the operations that are queued. */
export class CheckSession implements Checks {
  readonly #options: CheckOptions
  readonly #parts: SessionParts
  readonly #ended: () => void
  /** The bits of `check-words.ts`. */
  readonly #how: number
  readonly #heard: ViolationReport[] = []
  #next = UNKNOWN
  #isOver = false

  constructor(options: CheckOptions, parts: SessionParts, ended: () => void) {
    this.#options = options
    this.#parts = parts
    this.#ended = ended
    const { accesses, unwritten, report } = options
    this.#how = (accesses ? ACCESSES : 0) | (unwritten ? UNWRITTEN : 0) | (report === undefined ? BREAKS : 0)
    if (accesses) parts.memory.guard(true)
  }

  /** Whether launches are checked at all. */
  get checksLaunches(): boolean {
    return (this.#how & (ACCESSES | UNWRITTEN)) !== 0
  }

  describe(operation: CheckedOperation, reads: readonly ByteRange[], writes: readonly ByteRange[]): void {
    const ranges = [
      ...reads.map((range) => ({ ...range, kind: READ })),
      ...merged(writes).map((range) => ({ ...range, kind: WRITTEN })),
    ]
    this.#next = { operation, ranges }
  }

  /** What was said of the launch that is queued now. */
  take(): Description {
    const next = this.#next
    this.#next = UNKNOWN
    return next
  }

  /** The number of the call that queues an operation. */
  siteOf({ operation }: Description): number {
    return this.#parts.violations.numberOf(operation)
  }

  /** The words that follow those of a launch. */
  wordsFor(kernel: HostKernel, args: readonly KernelArgument[], description: Description): Int32Array {
    return this.#words(arraysIn(args, kernel.primitives), description)
  }

  /** The same for a launch in a graph. */
  wordsAt(words: Int32Array, at: number, kernel: HostKernel, description: Description): Int32Array {
    return this.#words(arraysAt(words, at, kernel.primitives), description)
  }

  #words(arrays: Parameters<typeof besideArrays>[0], description: Description): Int32Array {
    const beside = this.#options.accesses ? besideArrays(arrays, this.#parts.memory) : []
    return checkWords(this.#how, this.siteOf(description), [...description.ranges, ...beside])
  }

  comparePinned(operation: CheckedOperation, reads: readonly PinnedRead[], handle: StreamHandle): () => void {
    const { memory, queues, commands } = this.#parts
    const stream = queues.usable(handle)
    const kept = this.#keepAll(operation, reads)
    const how = this.#how & BREAKS
    const compareAll = () => {
      for (const { address, byteLength, copy, site } of kept) {
        commands.compare(stream.slot, address, copy, byteLength, site, how)
      }
      queues.submit(stream)
    }
    compareAll()
    return () => {
      if (queues.isLost) return
      compareAll()
      for (const { copy } of kept) memory.freeCopy(copy, stream)
    }
  }

  #keepAll(operation: CheckedOperation, reads: readonly PinnedRead[]) {
    const { memory, violations } = this.#parts
    const kept: { address: number; byteLength: number; copy: number; site: number }[] = []
    try {
      for (const { address, byteLength, argument, start } of reads) {
        const site = violations.numberOf(operation, argument, address - start)
        kept.push({ address, byteLength, site, copy: memory.copyNow(address, byteLength) })
      }
      return kept
    } catch (error) {
      for (const { copy } of kept) memory.dropCopy(copy)
      throw error
    }
  }

  collect(): void {
    this.#parts.drain()
    for (const report of this.#heard.splice(0)) {
      this.#options.report?.(this.#parts.violations.errorOf(report.kernel, report.violation, false))
    }
  }

  /** A worker has found something that breaks no stream. Its report may be read inside any call of the driver. */
  hear(report: ViolationReport): void {
    if (this.#heard.push(report) === 1) nextTick(() => this.collect())
  }

  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.collect()
    this.#parts.memory.guard(false)
    this.#ended()
  }
}

/** The same bytes in as few ranges as possible. */
function merged(ranges: readonly ByteRange[]): ByteRange[] {
  const all = new Ranges()
  for (const { address, byteLength } of ranges) all.add(address, address + byteLength)
  return Array.from(all, ({ begin, end }) => ({ address: begin, byteLength: end - begin }))
}

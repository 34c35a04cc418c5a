/**
 * Notes when commands ran, in the worker's ring of times. It must never wait: if the ring is full, it counts the record as
 * lost.
 */
import type { ControlMemory } from "../control/control.js"
import {
  INSIDE,
  KIND_MASK,
  LAUNCH,
  RECORD_WORDS,
  RING,
  RING_CAPACITY,
  RING_LOST,
  RING_READ,
  RING_WORDS,
  RING_WRITTEN,
  TABLE_ENTRY_WORDS,
  TIMED_AT,
  TIMED_BRANCH,
  TIMED_HIGH,
  TIMED_KERNEL,
  TIMED_KIND,
  TIMED_LOW,
  TIMED_STREAM,
  TIMED_TIMES,
  wordAt,
} from "../control/layout.js"
import { now, sharedOffset } from "../../common/timers.js"

export class Stopwatch {
  readonly #control: ControlMemory
  /** The worker's control block. */
  readonly #block: number
  /** Measured when the worker first times a command. */
  #offset: number | undefined

  constructor({ control, block }: { readonly control: ControlMemory; readonly block: number }) {
    this.#control = control
    this.#block = block
  }

  /** The time before a command. */
  start(): number {
    this.#offset ??= sharedOffset()
    return now()
  }

  /** The command at a position of a stream's queue has run. */
  note(stream: number, low: number, high: number, started: number): void {
    const end = now()
    const words = this.#control.catchUp()
    const ring = this.#room(words)
    if (ring === 0) return
    words[recordAt(words, ring) + TIMED_KIND] = 0
    this.#write(words, ring, stream, low, high, started, end)
  }

  /** The command at `read` in a branch's block has run, in the call that has this table. */
  noteNode(table: number, branch: number, read: number, started: number): void {
    const end = now()
    const words = this.#control.catchUp()
    const ring = this.#room(words)
    if (ring === 0) return
    const at = recordAt(words, ring)
    const header = wordAt(words, read)
    const kind = header & KIND_MASK
    words[at + TIMED_KIND] = kind | (header & INSIDE)
    words[at + TIMED_KERNEL] = kind === LAUNCH ? wordAt(words, read + 1) : 0
    words[at + TIMED_BRANCH] = branch
    words[at + TIMED_AT] = read
    this.#write(words, ring, wordAt(words, table), wordAt(words, table + 1), wordAt(words, table + 2), started, end)
  }

  /** The branch that a stream runs, from a call's table. */
  branchOf(table: number, stream: number): number {
    const { words } = this.#control
    let branch = 0
    while (wordAt(words, table + TABLE_ENTRY_WORDS * branch) !== stream) branch++
    return branch
  }

  /** The worker's ring; 0 if it has no room. */
  #room(words: Int32Array): number {
    const ring = wordAt(words, this.#block + RING)
    if (ring === 0) return 0
    const inUse = (wordAt(words, ring + RING_WRITTEN) - Atomics.load(words, ring + RING_READ)) | 0
    if (inUse < wordAt(words, ring + RING_CAPACITY)) return ring
    Atomics.add(words, ring + RING_LOST, 1)
    return 0
  }

  #write(
    words: Int32Array,
    ring: number,
    stream: number,
    low: number,
    high: number,
    started: number,
    ended: number,
  ): void {
    const at = recordAt(words, ring)
    const { doubles } = this.#control
    const offset = this.#offset ?? 0
    words[at + TIMED_STREAM] = stream
    words[at + TIMED_LOW] = low
    words[at + TIMED_HIGH] = high
    doubles[(at + TIMED_TIMES) / 2] = started + offset
    doubles[(at + TIMED_TIMES) / 2 + 1] = ended + offset
    Atomics.store(words, ring + RING_WRITTEN, (wordAt(words, ring + RING_WRITTEN) + 1) | 0)
  }
}

/** The index of the next record. */
function recordAt(words: Int32Array, ring: number): number {
  const place = wordAt(words, ring + RING_WRITTEN) & (wordAt(words, ring + RING_CAPACITY) - 1)
  return ring + RING_WORDS + RECORD_WORDS * place
}

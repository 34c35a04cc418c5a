import type { KernelError } from "../../common/errors.js"
import type { Branch } from "./branch.js"
import type { ControlMemory } from "../control/control.js"
import {
  ANY_BROKEN,
  BROKEN,
  BROKEN_HIGH,
  BROKEN_LOW,
  CHUNK_WORDS,
  KIND_BITS,
  LEVEL,
  LINK,
  PROGRESS_LOW,
  READ,
  STREAM_WORDS,
  TAIL,
  position,
  wordAt,
} from "../control/layout.js"

/** Free chunks of queues, for all streams of a device. */
export class ChunkPool {
  readonly #free: number[] = []
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  acquire(): number {
    return this.#free.pop() ?? this.#control.reserve(CHUNK_WORDS)
  }

  release(chunk: number): void {
    this.#free.push(chunk)
  }
}

/** A control block and its queue. Several streams use it, one after another; its positions never start again. */
export class StreamSlot {
  readonly block: number
  /** How many commands were ever queued. */
  tail = 0
  /** The stream that uses the slot now. */
  owner: HostStream | undefined
  #progress = 0
  #next = 0
  #end = 0
  #chunk: number
  readonly #used: { readonly chunk: number; readonly position: number }[] = []
  readonly #control: ControlMemory
  readonly #chunks: ChunkPool

  constructor(control: ControlMemory, chunks: ChunkPool) {
    this.#control = control
    this.#chunks = chunks
    this.#chunk = chunks.acquire()
    this.#begin(this.#chunk)
    this.block = control.reserve(STREAM_WORDS)
    // Later only workers write this word. One may be looking at the empty queue while the first command is queued.
    control.words[this.block + READ] = this.#chunk
  }

  /** Gives the slot to a new stream. */
  assign(owner: HostStream, level: number): void {
    this.owner = owner
    this.#control.words[this.block + LEVEL] = level
    this.#control.words[this.block + BROKEN] = 0
  }

  /** The index at which a command of this many words can be written. Workers see nothing before {@link publish}. */
  room(words: number): number {
    if (this.#next + words > this.#end) this.#extend()
    return this.#next
  }

  /** Queues the command that was written at {@link room}. A call counts as all commands of its block. */
  publish(words: number, count = 1): void {
    this.#next += words
    this.tail += count
    Atomics.store(this.#control.words, this.block + TAIL, this.tail | 0)
  }

  hasPassed(at: number): boolean {
    return at <= this.#progress || at <= this.#readProgress()
  }

  isIdle(): boolean {
    return this.hasPassed(this.tail)
  }

  /**
   * Whether any stream of the device has ever broken. A plain read, because each launch asks: once this thread has seen a
   * stream's progress past a failure, it also sees this word.
   */
  isAnyBroken(): boolean {
    return this.#control.words[ANY_BROKEN] === 1
  }

  isBroken(): boolean {
    return this.#control.words[this.block + BROKEN] === 1
  }

  /** The position after the command that broke the stream. */
  brokenAt(): number {
    const words = this.#control.words
    return position(wordAt(words, this.block + BROKEN_HIGH), wordAt(words, this.block + BROKEN_LOW))
  }

  /** How many commands have run. */
  get progress(): number {
    return this.#readProgress()
  }

  /** The low word suffices, because the stream is never 2³² commands behind its tail. */
  #readProgress(): number {
    const behind = (this.tail - Atomics.load(this.#control.words, this.block + PROGRESS_LOW)) >>> 0
    this.#progress = this.tail - behind
    return this.#progress
  }

  #extend(): void {
    const chunk = this.#recycled() ?? this.#chunks.acquire()
    const words = this.#control.words
    words[this.#next] = LINK | (2 << KIND_BITS)
    words[this.#next + 1] = chunk
    this.#used.push({ chunk: this.#chunk, position: this.tail })
    this.#chunk = chunk
    this.#begin(chunk)
  }

  #begin(chunk: number): void {
    this.#next = chunk
    this.#end = chunk + CHUNK_WORDS - 2
  }

  /** One of this queue's used chunks. A chunk is free once a command after its link has run. Others go to the pool. */
  #recycled(): number | undefined {
    let count = 0
    while (count < this.#used.length && this.hasPassed((this.#used[count]?.position ?? Infinity) + 1)) count++
    const [first, ...others] = this.#used.splice(0, count)
    for (const { chunk } of others) this.#chunks.release(chunk)
    return first?.chunk
  }
}

/** A stream from creation to destruction. Events keep it, so that they stay valid after its slot has a new stream. */
export class HostStream {
  /** Why the stream broke, once this thread knows it. */
  error: KernelError | undefined
  brokenAt = Infinity
  /** The reason of the signal that dropped one of its launches. */
  dropReason: unknown
  /** The errors that its queued break commands name by index. */
  readonly told: KernelError[] = []
  /** While the stream is captured: the branch that collects its commands. */
  branch: Branch | undefined
  /** Whether a graph uses it for a branch, so that no user knows it. */
  internal = false

  constructor(
    readonly slot: StreamSlot,
    readonly handle: number,
    /** For errors. */
    readonly name: string,
  ) {}

  hasPassed(at: number): boolean {
    return this.slot.hasPassed(at)
  }
}

import { OutOfMemoryError } from "../../common/errors.js"
import { EXTENT, FIRST_FREE_WORD, LINE, PROGRESS_HIGH, PROGRESS_LOW } from "./layout.js"
import { sharedMemory, type WasmMemory } from "./web-assembly.js"
import { wordAt } from "./words.js"

const PAGE_WORDS = 16384
const INITIAL_PAGES = 2

/**
 * The control memory: queues and scheduler, apart from the device memory so that a kernel's stray write cannot reach
 * them. It only grows; its parts are given out once and recycled by their owners.
 */
export class ControlMemory {
  words: Int32Array
  bytes: Uint8Array
  floats: Float32Array
  doubles: Float64Array

  constructor(readonly memory: WasmMemory) {
    this.words = new Int32Array(memory.buffer)
    this.bytes = new Uint8Array(memory.buffer)
    this.floats = new Float32Array(memory.buffer)
    this.doubles = new Float64Array(memory.buffer)
  }

  static create(): ControlMemory {
    const control = new ControlMemory(sharedMemory(INITIAL_PAGES))
    control.words[EXTENT] = FIRST_FREE_WORD
    return control
  }

  /** Gives out words that were never used before. On the opening thread only. @throws OutOfMemoryError */
  reserve(count: number): number {
    const start = wordAt(this.words, EXTENT)
    // Whole cache lines, or two owners would slow each other.
    const end = start + Math.ceil(count / LINE) * LINE
    if (end > this.words.length) this.grow(end)
    this.words[EXTENT] = end
    return start
  }

  /** Looks at the whole memory again. What another thread has grown shows itself within a few turns. */
  refresh(): void {
    const extent = Atomics.load(this.words, EXTENT)
    do {
      this.look()
    } while (this.words.length < extent)
  }

  /** Looks again if there is more now. What was reserved before something that this thread has seen is in view then. */
  catchUp(): Int32Array {
    if (wordAt(this.words, EXTENT) > this.words.length) this.refresh()
    return this.words
  }

  /** Publishes how far a stream has come. Only the worker that runs the stream calls it. */
  advance(stream: number, low: number, high: number): void {
    const { words } = this
    Atomics.store(words, stream + PROGRESS_LOW, low)
    if (wordAt(words, stream + PROGRESS_HIGH) !== high) Atomics.store(words, stream + PROGRESS_HIGH, high)
  }

  private grow(words: number): void {
    const needed = Math.ceil((words - this.words.length) / PAGE_WORDS)
    const generous = Math.max(needed, Math.min(this.words.length / PAGE_WORDS, 1024))
    for (const pages of [generous, needed]) {
      try {
        this.memory.grow(pages)
        this.look()
        return
      } catch {
        // The second try asks for as little as will do.
      }
    }
    throw new OutOfMemoryError(
      `the host device's queues hold ${this.words.length * 4} bytes and cannot grow: ` +
        "synchronize before queueing more work, or free memory of this process",
    )
  }

  private look(): void {
    const buffer = this.memory.buffer
    this.words = new Int32Array(buffer)
    this.bytes = new Uint8Array(buffer)
    this.floats = new Float32Array(buffer)
    this.doubles = new Float64Array(buffer)
  }
}

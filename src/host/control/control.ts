import { OutOfMemoryError } from "../../common/errors.js"
import { EXTENT, FIRST_FREE_WORD, LINE, PROGRESS_HIGH, PROGRESS_LOW, wordAt } from "./layout.js"
import { sharedMemory, type WasmMemory } from "./web-assembly.js"

const PAGE_WORDS = 16384
const INITIAL_PAGES = 2

/**
 * The control memory holds the queues and the scheduler's state. It is separate from the device memory, so that a kernel's
 * stray write cannot reach it. It only grows: code that reserves words keeps them and reuses them itself.
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

  /** Reserves unused words, in whole cache lines. On the opening thread only. @throws OutOfMemoryError */
  reserve(count: number): number {
    const start = wordAt(this.words, EXTENT)
    // Two threads that write to one cache line would slow each other down.
    const end = start + Math.ceil(count / LINE) * LINE
    if (end > this.words.length) this.#grow(end)
    this.words[EXTENT] = end
    return start
  }

  /** Renews the views after another thread has grown the memory. Growth may become visible here a little late. */
  refresh(): void {
    const extent = Atomics.load(this.words, EXTENT)
    do {
      this.#view()
    } while (this.words.length < extent)
  }

  /** Renews the views if they are too short. Then they cover all words reserved before anything this thread has read. */
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

  #grow(words: number): void {
    const needed = Math.ceil((words - this.words.length) / PAGE_WORDS)
    const generous = Math.max(needed, Math.min(this.words.length / PAGE_WORDS, 1024))
    for (const pages of [generous, needed]) {
      try {
        this.memory.grow(pages)
        this.#view()
        return
      } catch {
        // The second attempt asks for the least that is needed.
      }
    }
    throw new OutOfMemoryError(
      `The host device's queues hold ${this.words.length * 4} bytes and cannot grow. Synchronize before you queue more ` +
        "work, or free memory of this process.",
    )
  }

  #view(): void {
    const buffer = this.memory.buffer
    this.words = new Int32Array(buffer)
    this.bytes = new Uint8Array(buffer)
    this.floats = new Float32Array(buffer)
    this.doubles = new Float64Array(buffer)
  }
}

/**
 * The workers' rings of times, as the opening thread sees them. A ring stays with its worker, because the control memory
 * only grows, and is used again by the next timeline.
 */
import type { ControlMemory } from "./control.js"
import { RECORD_WORDS, RING, RING_CAPACITY, RING_LOST, RING_READ, RING_WORDS, RING_WRITTEN, wordAt } from "./layout.js"

export class TimeRings {
  /** The control blocks of all workers so far. */
  readonly #workers: number[] = []
  /** Records per ring; 0 while nothing is timed. */
  #capacity = 0
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  /** A worker is about to start. */
  add(worker: number): void {
    this.#workers.push(worker)
    if (this.#capacity > 0) this.#provide(worker)
  }

  /**
   * Gives each worker a ring with room for this many records, a power of two. No command may be timed before.
   *
   * @throws OutOfMemoryError
   */
  open(capacity: number): void {
    this.#capacity = capacity
    for (const worker of this.#workers) this.#provide(worker)
    this.drain(() => {})
    this.takeLost()
  }

  /** Workers that start from now on get no ring. */
  close(): void {
    this.#capacity = 0
  }

  /** Reads all records, each at an index of the control memory, and makes room for others. */
  drain(visit: (at: number) => void): void {
    for (const ring of this.#rings()) {
      const { words } = this.#control
      const capacity = wordAt(words, ring + RING_CAPACITY)
      const written = Atomics.load(words, ring + RING_WRITTEN)
      for (let read = wordAt(words, ring + RING_READ); read !== written; read = (read + 1) | 0) {
        visit(ring + RING_WORDS + RECORD_WORDS * (read & (capacity - 1)))
      }
      Atomics.store(words, ring + RING_READ, written)
    }
  }

  /** How many records were lost since the last call. */
  takeLost(): number {
    let lost = 0
    for (const ring of this.#rings()) lost += Atomics.exchange(this.#control.words, ring + RING_LOST, 0)
    return lost
  }

  #rings(): number[] {
    return this.#workers.map((worker) => wordAt(this.#control.words, worker + RING)).filter((ring) => ring !== 0)
  }

  #provide(worker: number): void {
    const former = wordAt(this.#control.words, worker + RING)
    if (former !== 0 && this.#control.words[former + RING_CAPACITY] === this.#capacity) return
    const ring = this.#control.reserve(RING_WORDS + RECORD_WORDS * this.#capacity)
    this.#control.words[ring + RING_CAPACITY] = this.#capacity
    Atomics.store(this.#control.words, worker + RING, ring)
  }
}

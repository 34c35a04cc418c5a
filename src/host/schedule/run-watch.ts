import type { ControlMemory } from "../control/control.js"
import { Interruption } from "./interruption.js"
import {
  FLAT_INTERRUPTED,
  FLAT_RUNNING,
  FLAT_STEP,
  WATCHED_RUNS,
  WATCH_LISTED,
  WATCH_NEXT,
  WATCH_SEEN,
  wordAt,
} from "../control/layout.js"

/**
 * The list of streams that run graphs flat. The watcher checks it regularly for runs that stand still. A stream stays in
 * the list while it runs one graph after another. All methods but {@link has} need the scheduler's lock.
 */
export class RunWatch {
  readonly #interruption: Interruption
  readonly #control: ControlMemory
  readonly #ready: (stream: number) => void

  /** @param ready makes a running stream ready */
  constructor(control: ControlMemory, ready: (stream: number) => void) {
    this.#control = control
    this.#ready = ready
    this.#interruption = new Interruption(control)
  }

  /** Whether a stream is in the list. The worker asks after it has begun a run. */
  has(stream: number): boolean {
    return Atomics.load(this.#control.words, stream + WATCH_LISTED) === 1
  }

  add(stream: number): void {
    const { words } = this.#control
    Atomics.store(words, stream + WATCH_LISTED, 1)
    words[stream + WATCH_SEEN] = 0
    words[stream + WATCH_NEXT] = wordAt(words, WATCHED_RUNS)
    words[WATCHED_RUNS] = stream
  }

  isEmpty(): boolean {
    return this.#control.words[WATCHED_RUNS] === 0
  }

  /** Interrupts runs that have not moved since the last check, and removes streams that run nothing flat. */
  look(): void {
    const { words } = this.#control
    let kept = 0
    let stream = wordAt(words, WATCHED_RUNS)
    while (stream !== 0) {
      const next = wordAt(words, stream + WATCH_NEXT)
      if (!this.#leaves(stream)) {
        words[stream + WATCH_NEXT] = kept
        kept = stream
      }
      stream = next
    }
    words[WATCHED_RUNS] = kept
  }

  #leaves(stream: number): boolean {
    const { words } = this.#control
    const step = Atomics.load(words, stream + FLAT_STEP)
    const hasMoved = words[stream + WATCH_SEEN] !== step
    words[stream + WATCH_SEEN] = step
    if (hasMoved) return false
    if (isRunning(step)) {
      this.#interruption.tryAt(stream, step, this.#ready)
      return false
    }
    Atomics.store(words, stream + WATCH_LISTED, 0)
    if (!isRunning(Atomics.load(words, stream + FLAT_STEP))) return true
    Atomics.store(words, stream + WATCH_LISTED, 1)
    return false
  }
}

/** Whether a flat run is in progress and was not interrupted. */
function isRunning(step: number): boolean {
  return (step & (FLAT_RUNNING | FLAT_INTERRUPTED)) === FLAT_RUNNING
}

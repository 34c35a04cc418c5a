import type { ControlMemory } from "../control/control.js"
import {
  ACTIVE,
  BLOCK_READ,
  BROKEN,
  CALL_FLAT,
  CALL_WORDS,
  FLAT_BRANCHES,
  FLAT_CALL,
  FLAT_CALLS,
  FLAT_FIRST,
  FLAT_INTERRUPTED,
  FLAT_NUMBER,
  FLAT_PLACES,
  FLAT_STEP,
  FLAT_WAS_INTERRUPTED,
  IDLE,
  LAUNCHED_ON,
  PLACE_BRANCH,
  PLACE_END,
  PLACE_INDEX,
  PLACE_WORDS,
  PROGRESS_LOW,
  READ,
  RUNNING,
  STATE,
  TIMED_NODES,
  TAIL,
  TIME_WORDS,
  wordAt,
} from "../control/layout.js"
import { BranchPoint } from "./branch-point.js"

/**
 * Interrupts flat runs: the commands that have not begun become ordinary branches, each on its own stream, as if the graph
 * had been launched that way. Runs under the scheduler's lock. The worker takes that lock after its current command,
 * before it reads state changed here; the current command stays its own.
 *
 * The flat block keeps the streams and a call for each. Their positions start again with each interruption.
 */
export class Interruption {
  readonly #point: BranchPoint
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
    this.#point = new BranchPoint(control)
  }

  /**
   * Interrupts the flat run of a stream if it is still at a step.
   * @param ready makes a running stream ready
   */
  tryAt(stream: number, step: number, ready: (stream: number) => void): void {
    const found = Atomics.compareExchange(this.#control.words, stream + FLAT_STEP, step, step | FLAT_INTERRUPTED)
    if (found !== step) return
    // From here on the run, its graph and its call do not change.
    const words = this.#control.catchUp()
    const call = wordAt(words, stream + FLAT_CALL)
    const flat = wordAt(words, call + CALL_FLAT)
    const current = (step & FLAT_NUMBER) - wordAt(words, stream + FLAT_FIRST)
    if (!this.#areIdle(call, flat)) {
      // Workers have not left some of the streams since an earlier run. The watcher will try again soon.
      Atomics.and(words, stream + FLAT_STEP, ~FLAT_INTERRUPTED)
      return
    }
    words[flat + FLAT_WAS_INTERRUPTED] = 1
    const places = wordAt(words, flat + FLAT_PLACES)
    const held = wordAt(words, places + PLACE_WORDS * current + PLACE_BRANCH)
    this.#takeAll(call, flat)
    for (let index = 0; index < current; index++) this.#putBehind(call, places + PLACE_WORDS * index)
    this.#putBefore(call, places + PLACE_WORDS * current)
    this.#handOut(call, flat, held, ready)
  }

  #areIdle(call: number, flat: number): boolean {
    const { words } = this.#control
    for (let branch = 1; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      if (Atomics.load(words, this.#streamOf(call, branch) + STATE) !== IDLE) return false
    }
    return true
  }

  /** Acquires the streams of all branches and sets them to their beginnings. */
  #takeAll(call: number, flat: number): void {
    const { words } = this.#control
    const calls = wordAt(words, flat + FLAT_CALLS)
    // Not 0, which would mean the beginning of another flat run.
    words[this.#streamOf(call, 0) + BLOCK_READ] = wordAt(words, call + 1) + TIME_WORDS
    for (let branch = 1; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      const stream = this.#streamOf(call, branch)
      const own = calls + CALL_WORDS * branch
      // Set before its tail, or a worker that is just leaving the stream would acquire it again.
      Atomics.store(words, stream + STATE, RUNNING)
      words[own + 5] = wordAt(words, call + 5) & TIMED_NODES
      words[stream + READ] = own
      words[stream + BLOCK_READ] = 0
      words[stream + BROKEN] = 0
      words[stream + LAUNCHED_ON] = this.#streamOf(call, 0)
      this.#control.advance(stream, 0, 0)
      Atomics.store(words, stream + TAIL, wordAt(words, own + 3))
    }
  }

  /** Sets a branch to the position after a command that is done. */
  #putBehind(call: number, place: number): void {
    const { words } = this.#control
    this.#putBefore(call, place, 1)
    words[this.#point.stream + BLOCK_READ] = wordAt(words, place + PLACE_END)
  }

  /** Sets a branch to the position before a command, or this many commands further. */
  #putBefore(call: number, place: number, further = 0): void {
    const { words } = this.#control
    const point = this.#point
    const position = wordAt(words, place + PLACE_INDEX) + further
    point.at(wordAt(words, call + 4), wordAt(words, place + PLACE_BRANCH), position)
    this.#control.advance(point.stream, point.low, point.high)
  }

  /** Makes all unfinished branches ready, except the one of the current command, which the worker keeps. */
  #handOut(call: number, flat: number, held: number, ready: (stream: number) => void): void {
    const { words } = this.#control
    for (let branch = 0; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      const stream = this.#streamOf(call, branch)
      const isOver = branch > 0 && words[stream + PROGRESS_LOW] === words[stream + TAIL]
      if (isOver) {
        words[stream + BLOCK_READ] = 0
        Atomics.store(words, stream + STATE, IDLE)
        continue
      }
      if (branch > 0) Atomics.add(words, ACTIVE, 1)
      if (branch !== held) ready(stream)
    }
  }

  #streamOf(call: number, branch: number): number {
    this.#point.at(wordAt(this.#control.words, call + 4), branch, 0)
    return this.#point.stream
  }
}

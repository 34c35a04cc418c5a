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
  TAIL,
  TIME_WORDS,
  wordAt,
} from "../control/layout.js"
import { BranchPoint } from "./branch-point.js"

/**
 * Interrupts flat runs: what the worker has not begun becomes ordinary branches, each on a stream of its own, as if
 * they had been run that way from the beginning. All of it happens under the scheduler's lock, which the worker passes
 * before it looks at anything: until then it is somewhere in the one command that is under way, which is its own.
 *
 * The streams stand by for that, with a call each in the flat block; their positions begin anew with each interruption.
 */
export class Interruption {
  private readonly point: BranchPoint

  constructor(private readonly control: ControlMemory) {
    this.point = new BranchPoint(control)
  }

  /**
   * Interrupts the flat run of a stream if it is still at a step.
   * @param ready makes a stream ready that the caller has
   */
  tryAt(stream: number, step: number, ready: (stream: number) => void): void {
    const found = Atomics.compareExchange(this.control.words, stream + FLAT_STEP, step, step | FLAT_INTERRUPTED)
    if (found !== step) return
    // From here on the run, its graph and its call stay what they are.
    const words = this.control.catchUp()
    const call = wordAt(words, stream + FLAT_CALL)
    const flat = wordAt(words, call + CALL_FLAT)
    const current = (step & FLAT_NUMBER) - wordAt(words, stream + FLAT_FIRST)
    if (!this.areIdle(call, flat)) {
      // Some have not been given back by an earlier run. The next look is soon.
      Atomics.and(words, stream + FLAT_STEP, ~FLAT_INTERRUPTED)
      return
    }
    words[flat + FLAT_WAS_INTERRUPTED] = 1
    const places = wordAt(words, flat + FLAT_PLACES)
    const held = wordAt(words, places + PLACE_WORDS * current + PLACE_BRANCH)
    this.takeAll(call, flat)
    for (let index = 0; index < current; index++) this.putBehind(call, places + PLACE_WORDS * index)
    this.putBefore(call, places + PLACE_WORDS * current)
    this.handOut(call, flat, held, ready)
  }

  private areIdle(call: number, flat: number): boolean {
    const { words } = this.control
    for (let branch = 1; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      if (Atomics.load(words, this.streamOf(call, branch) + STATE) !== IDLE) return false
    }
    return true
  }

  /** Takes the streams of all branches, and puts them at their beginnings. */
  private takeAll(call: number, flat: number): void {
    const { words } = this.control
    const calls = wordAt(words, flat + FLAT_CALLS)
    // Not 0, which would be another flat run's beginning.
    words[this.streamOf(call, 0) + BLOCK_READ] = wordAt(words, call + 1) + TIME_WORDS
    for (let branch = 1; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      const stream = this.streamOf(call, branch)
      const own = calls + CALL_WORDS * branch
      // Before its tail, or a worker that is just leaving it would take it for filled.
      Atomics.store(words, stream + STATE, RUNNING)
      words[stream + READ] = own
      words[stream + BLOCK_READ] = 0
      words[stream + BROKEN] = 0
      words[stream + LAUNCHED_ON] = this.streamOf(call, 0)
      this.control.advance(stream, 0, 0)
      Atomics.store(words, stream + TAIL, wordAt(words, own + 3))
    }
  }

  /** Puts a branch behind a command that is done. */
  private putBehind(call: number, place: number): void {
    const { words } = this.control
    this.putBefore(call, place, 1)
    words[this.point.stream + BLOCK_READ] = wordAt(words, place + PLACE_END)
  }

  /** Says that a branch has come to a command, or so many commands further. */
  private putBefore(call: number, place: number, further = 0): void {
    const { words } = this.control
    const { point } = this
    const position = wordAt(words, place + PLACE_INDEX) + further
    point.at(wordAt(words, call + 4), wordAt(words, place + PLACE_BRANCH), position)
    this.control.advance(point.stream, point.low, point.high)
  }

  /** The branch of the command under way is the worker's; others are for whoever comes, if anything is left of them. */
  private handOut(call: number, flat: number, held: number, ready: (stream: number) => void): void {
    const { words } = this.control
    for (let branch = 0; branch < wordAt(words, flat + FLAT_BRANCHES); branch++) {
      const stream = this.streamOf(call, branch)
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

  private streamOf(call: number, branch: number): number {
    this.point.at(wordAt(this.control.words, call + 4), branch, 0)
    return this.point.stream
  }
}

import { BranchPoint } from "../schedule/branch-point.js"
import type { ControlMemory } from "../control/control.js"
import {
  BLOCK_READ,
  BROKEN,
  CALL_FLAT,
  CALL_WORDS,
  FLAT_BRANCHES,
  FLAT_CALL,
  FLAT_CALLS,
  FLAT_COUNT,
  FLAT_END,
  FLAT_FIRST,
  FLAT_INDEX,
  FLAT_INTERRUPTED,
  FLAT_NUMBER,
  FLAT_PLACES,
  FLAT_RUNNING,
  FLAT_START,
  FLAT_STEP,
  FLAT_TABLE,
  INSIDE,
  JUMP,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LENGTH_MASK,
  LEVEL,
  MEASURED,
  PLACE_BRANCH,
  PLACE_END,
  PLACE_FLAT,
  PLACE_INDEX,
  PLACE_START,
  PLACE_WORDS,
  STREAMS_WATCH,
  TIMED_NODES,
  WATCHED,
  wordAt,
} from "../control/layout.js"
import { DONE, GONE, LOADING, type Operations, type Outcome, RAN, THREW, isOperation, jump } from "./operations.js"
import type { Stopwatch } from "./stopwatch.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { TURN, type Turns } from "../schedule/turns.js"
import { now } from "../../common/timers.js"

/**
 * Runs a whole graph from its flat block, on the stream that it was launched on: passing small kernels between threads
 * costs more than running them one after another. The stream's progress is published only at the end.
 *
 * Kernels of two branches may wait for each other, so a run that stands still can be interrupted (see `interruption.ts`).
 * After its current command, the worker then continues with that command's branch only, because others run the rest. The
 * worker and the interrupter agree through one word, {@link FLAT_STEP}.
 */
export class FlatRun {
  /** If the run did not finish: the stream that the worker continues with, or 0. */
  next = 0
  readonly #point: BranchPoint
  #lapped = 0
  readonly #at: { readonly control: ControlMemory; readonly scheduler: Scheduler }
  readonly #operations: Operations
  readonly #turns: Turns
  readonly #stopwatch: Stopwatch

  constructor(
    at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    operations: Operations,
    turns: Turns,
    stopwatch: Stopwatch,
  ) {
    this.#at = at
    this.#operations = operations
    this.#turns = turns
    this.#stopwatch = stopwatch
    this.#point = new BranchPoint(at.control)
  }

  /** Whether the stream's call must run from the flat block, and not from where an interruption left it. */
  isNext(stream: number, call: number): boolean {
    const { words } = this.#at.control
    const read = wordAt(words, stream + BLOCK_READ)
    const flat = wordAt(words, call + CALL_FLAT)
    return read === 0 || (read >= wordAt(words, flat + FLAT_START) && read < wordAt(words, flat + FLAT_END))
  }

  /** Runs a call, from where it stopped last time. `low` and `high` are the stream's position. */
  run(stream: number, call: number, low: number, high: number): Outcome {
    const operations = this.#operations
    const { words } = this.#at.control
    const flat = wordAt(words, call + CALL_FLAT)
    const end = wordAt(words, flat + FLAT_END)
    const level = wordAt(words, stream + LEVEL)
    const how = wordAt(words, call + 5)
    const isMeasured = (how & MEASURED) !== 0
    const isTimed = (how & TIMED_NODES) !== 0
    const left = wordAt(words, stream + BLOCK_READ)
    let index = left === 0 ? 0 : wordAt(words, stream + FLAT_INDEX)
    let read = left === 0 ? wordAt(words, flat + FLAT_START) : left
    if (read === end || words[stream + BROKEN] === 1) return DONE
    this.#begin(stream, call, index, low, high)
    if (isMeasured) this.#beginLap(call, left === 0)
    let turn = TURN
    for (;;) {
      if (this.#turns.isOver(level, --turn)) {
        this.#leave(stream, call, index, read)
        this.#at.scheduler.yield(this.next)
        this.next = 0
        return GONE
      }
      if (turn <= 0) turn = TURN
      const header = wordAt(words, read)
      const kind = header & KIND_MASK
      const started = isTimed ? this.#stopwatch.start() : 0
      if (kind === LAUNCH) {
        const outcome = operations.launch(stream, read)
        if (outcome === LOADING) this.#leave(stream, call, index, read)
        if (outcome === THREW) return this.#breakOff(stream, call, index, low, high)
        if (outcome !== RAN) return GONE
      } else if (kind >= JUMP) {
        read += jump(words, stream, kind, read, operations)
        continue
      } else {
        operations.runSimple(stream, kind, read, low, high)
      }
      if (isTimed && isOperation(kind)) this.#note(call, index, read, started)
      read += (header >>> KIND_BITS) & LENGTH_MASK
      if ((header & INSIDE) !== 0) continue
      if (isMeasured) this.#endLap(call, index)
      if (read === end) break
      if ((Atomics.add(words, stream + FLAT_STEP, 1) & FLAT_INTERRUPTED) !== 0) {
        if (this.#stop(stream)) return this.#goOnBehind(call, index)
        Atomics.or(words, stream + FLAT_STEP, FLAT_RUNNING)
      }
      index++
    }
    return this.#stop(stream) ? this.#goOnBehind(call, index) : DONE
  }

  #begin(stream: number, call: number, index: number, low: number, high: number): void {
    const { control, scheduler } = this.#at
    const { words } = control
    const flat = wordAt(words, call + CALL_FLAT)
    const table = wordAt(words, flat + FLAT_TABLE)
    words[table] = stream
    words[table + 1] = low
    words[table + 2] = high
    const number = (wordAt(words, stream + FLAT_STEP) & FLAT_NUMBER) + 1
    // All step numbers of a run must fit in their bits.
    const first = number + wordAt(words, flat + FLAT_COUNT) > FLAT_NUMBER ? index : number
    words[stream + FLAT_CALL] = call
    words[stream + FLAT_FIRST] = first - index
    Atomics.store(words, stream + FLAT_STEP, first | FLAT_RUNNING)
    scheduler.watchRuns(stream)
  }

  /** Stops the run. @returns whether it was interrupted */
  #stop(stream: number): boolean {
    const { control, scheduler } = this.#at
    const step = stream + FLAT_STEP
    if ((Atomics.and(control.words, step, ~FLAT_RUNNING) & FLAT_INTERRUPTED) === 0) return false
    scheduler.passLock()
    return (Atomics.load(control.words, step) & FLAT_INTERRUPTED) !== 0
  }

  /** Leaves the run before a command, or inside a conditional, so that any worker can continue there. */
  #leave(stream: number, call: number, index: number, read: number): void {
    const { words } = this.#at.control
    this.next = stream
    words[stream + FLAT_INDEX] = index
    if (!this.#stop(stream)) {
      words[stream + BLOCK_READ] = read
      return
    }
    const place = this.#place(call, index)
    this.#find(call, place)
    this.next = this.#point.stream
    const done = read - wordAt(words, place + PLACE_FLAT)
    words[this.next + BLOCK_READ] = wordAt(words, place + PLACE_START) + done
  }

  /** After an interruption: the command is done, and the worker continues with its branch. */
  #goOnBehind(call: number, index: number): Outcome {
    const { control, scheduler } = this.#at
    const { words } = control
    const place = this.#place(call, index)
    this.#find(call, place)
    const { stream, low, high } = this.#point
    const end = wordAt(words, place + PLACE_END)
    words[stream + BLOCK_READ] = end
    this.next = stream
    // The last command of a block is counted with its call.
    if (end === this.#endOfBranch(call, place)) return GONE
    const newLow = (low + 1) | 0
    const newHigh = newLow === 0 ? (high + 1) | 0 : high
    control.advance(stream, newLow, newHigh)
    if ((Atomics.load(words, stream + WATCHED) & STREAMS_WATCH) !== 0) scheduler.release(stream, newHigh, newLow)
    return GONE
  }

  /** A kernel threw: breaks the stream of the launch or, after an interruption, the stream of the kernel's branch. */
  #breakOff(stream: number, call: number, index: number, low: number, high: number): Outcome {
    if (!this.#stop(stream)) {
      this.#operations.breakOff(stream, low, high)
      return DONE
    }
    this.#find(call, this.#place(call, index))
    this.#operations.breakOff(this.#point.stream, this.#point.low, this.#point.high)
    return this.#goOnBehind(call, index)
  }

  #place(call: number, index: number): number {
    const { words } = this.#at.control
    const flat = wordAt(words, call + CALL_FLAT)
    return wordAt(words, flat + FLAT_PLACES) + PLACE_WORDS * index
  }

  /** Points at the position before a command, on the stream that runs its branch. */
  #find(call: number, place: number): void {
    const { words } = this.#at.control
    const table = wordAt(words, call + 4)
    this.#point.at(table, wordAt(words, place + PLACE_BRANCH), wordAt(words, place + PLACE_INDEX))
  }

  #endOfBranch(call: number, place: number): number {
    const { words } = this.#at.control
    const branch = wordAt(words, place + PLACE_BRANCH)
    const calls = wordAt(words, wordAt(words, call + CALL_FLAT) + FLAT_CALLS)
    const own = branch === 0 ? call : calls + CALL_WORDS * branch
    return wordAt(words, own + 1) + wordAt(words, own + 2)
  }

  #note(call: number, index: number, read: number, started: number): void {
    const { words } = this.#at.control
    const branch = wordAt(words, this.#place(call, index) + PLACE_BRANCH)
    this.#stopwatch.noteNode(wordAt(words, call + 4), branch, read, started)
  }

  #beginLap(call: number, isFirst: boolean): void {
    const { words, doubles } = this.#at.control
    const flat = wordAt(words, call + CALL_FLAT)
    const branches = isFirst ? wordAt(words, flat + FLAT_BRANCHES) : 0
    for (let branch = 0; branch < branches; branch++) doubles[this.#cell(call, branch)] = 0
    this.#lapped = now()
  }

  /** Adds the time that a command took to the time of its branch. */
  #endLap(call: number, index: number): void {
    const { words, doubles } = this.#at.control
    const cell = this.#cell(call, wordAt(words, this.#place(call, index) + PLACE_BRANCH))
    const time = now()
    doubles[cell] = (doubles[cell] ?? 0) + time - this.#lapped
    this.#lapped = time
  }

  /** The index of the double with a branch's time, at the beginning of its block. */
  #cell(call: number, branch: number): number {
    const { words } = this.#at.control
    const calls = wordAt(words, wordAt(words, call + CALL_FLAT) + FLAT_CALLS)
    return wordAt(words, calls + CALL_WORDS * branch + 1) / 2
  }
}

import { BranchPoint } from "../schedule/branch-point.js"
import type { ControlMemory } from "../control/control.js"
import { FlatRun } from "./flat-run.js"
import { LapTimer } from "./lap-timer.js"
import {
  ALONE,
  BLOCK_READ,
  INSIDE,
  JUMP,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LENGTH_MASK,
  LEVEL,
  PUBLISH,
  STREAMS_WATCH,
  TIMED_NODES,
  TIME_WORDS,
  WAIT_BRANCH,
  WATCHED,
  wordAt,
} from "../control/layout.js"
import { DONE, GONE, LOADING, type Operations, type Outcome, THREW, isOperation, jump } from "./operations.js"
import type { Stopwatch } from "./stopwatch.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { TURN, Turns } from "../schedule/turns.js"

/**
 * Runs one branch of a graph from its block. It publishes the stream's progress only after commands that another branch
 * waits for, and when the worker leaves the stream: a store per command would cost more than a small kernel.
 */
export class Replay {
  /** After {@link run} returned true: the position before the call's last command. */
  low = 0
  high = 0
  /** After {@link run} returned false: the stream that the worker continues with, or 0. */
  next = 0
  readonly #awaited: BranchPoint
  readonly #laps: LapTimer
  readonly #turns: Turns
  readonly #flat: FlatRun
  readonly #at: { readonly control: ControlMemory; readonly scheduler: Scheduler }
  readonly #operations: Operations
  readonly #stopwatch: Stopwatch

  constructor(
    at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    operations: Operations,
    stopwatch: Stopwatch,
  ) {
    this.#at = at
    this.#operations = operations
    this.#stopwatch = stopwatch
    this.#awaited = new BranchPoint(at.control)
    this.#laps = new LapTimer(at.control)
    this.#turns = new Turns(at)
    this.#flat = new FlatRun(at, operations, this.#turns, stopwatch)
  }

  /**
   * Runs the call at `call`, from where it stopped last time.
   * @returns whether all commands have run: then the caller counts the last one
   */
  run(stream: number, call: number, low: number, high: number): boolean {
    const words = this.#at.control.catchUp()
    const isAlone = (wordAt(words, call + 5) & ALONE) !== 0
    if (!isAlone || !this.#flat.isNext(stream, call)) return this.#runBlock(stream, call, low, high) === DONE
    const outcome = this.#flat.run(stream, call, low, high)
    this.next = this.#flat.next
    if (outcome === GONE) return false
    words[stream + BLOCK_READ] = 0
    this.low = (low + wordAt(words, call + 3) - 1) | 0
    this.high = this.low >>> 0 < low >>> 0 ? (high + 1) | 0 : high
    return true
  }

  #runBlock(stream: number, call: number, firstLow: number, firstHigh: number): Outcome {
    const operations = this.#operations
    const { control, scheduler } = this.#at
    let { words } = control
    const block = wordAt(words, call + 1)
    const end = block + wordAt(words, call + 2)
    let read = wordAt(words, stream + BLOCK_READ)
    this.#laps.begin(call, read === 0)
    if (read === 0) read = block + TIME_WORDS
    let low = firstLow
    let high = firstHigh
    const level = wordAt(words, stream + LEVEL)
    const isTimed = (wordAt(words, call + 5) & TIMED_NODES) !== 0
    const table = wordAt(words, call + 4)
    const branch = isTimed ? this.#stopwatch.branchOf(table, stream) : 0
    let turn = TURN
    // The caller counts the last command.
    while (read !== end) {
      if (this.#turns.isOver(level, --turn)) {
        this.#leave(stream, call, read, low, high)
        scheduler.yield(stream)
        this.next = 0
        return GONE
      }
      if (turn <= 0) turn = TURN
      const header = wordAt(words, read)
      const kind = header & KIND_MASK
      const started = isTimed ? this.#stopwatch.start() : 0
      if (kind === LAUNCH) {
        const outcome = operations.launch(stream, read)
        if (outcome === THREW) operations.breakOff(stream, low, high)
        if (outcome === LOADING) {
          this.#leave(stream, call, read, low, high)
          this.next = stream
          return GONE
        }
      } else if (kind === WAIT_BRANCH) {
        if (!this.#wait(stream, call, read, low, high)) return GONE
        words = control.words
      } else if (kind >= JUMP) {
        read += jump(words, stream, kind, read, operations)
        continue
      } else {
        operations.runSimple(stream, kind, read, low, high)
      }
      if (isTimed && isOperation(kind)) this.#stopwatch.noteNode(table, branch, read, started)
      read += (header >>> KIND_BITS) & LENGTH_MASK
      if ((header & INSIDE) !== 0) continue
      if (read === end) break
      low = (low + 1) | 0
      if (low === 0) high = (high + 1) | 0
      if ((header & PUBLISH) !== 0 && !this.#publish(stream, call, read, low, high)) return GONE
    }
    this.#laps.end(call)
    words[stream + BLOCK_READ] = 0
    this.low = low
    this.high = high
    return DONE
  }

  /** Runs a wait. @returns false if the stream is suspended: then the caller no longer has it */
  #wait(stream: number, call: number, read: number, low: number, high: number): boolean {
    const awaited = this.#awaited
    awaited.find(call, read)
    if (!awaited.hasArrived()) {
      this.#leave(stream, call, read, low, high)
      if (this.#at.scheduler.suspend(stream, awaited.stream, awaited.high, awaited.low)) {
        this.next = 0
        return false
      }
      this.#laps.begin(call, false)
    }
    this.#operations.takeOver(stream, awaited.stream, awaited.high, awaited.low, low, high)
    return true
  }

  /** Publishes progress after a command that others wait for. @returns false if the caller no longer has the stream */
  #publish(stream: number, call: number, read: number, low: number, high: number): boolean {
    const { control, scheduler } = this.#at
    const awaited = this.#awaited
    this.#leave(stream, call, read, low, high)
    if ((Atomics.load(control.words, stream + WATCHED) & STREAMS_WATCH) === 0) return true
    if (!this.#isHeldUp(call, read)) {
      scheduler.release(stream, high, low)
      return true
    }
    const woken = scheduler.settle(stream, high, low)
    if (woken === 0) return true
    if (scheduler.suspend(stream, awaited.stream, awaited.high, awaited.low)) {
      this.next = woken
      return false
    }
    scheduler.yield(woken)
    return true
  }

  /** Whether the command at `read` is a wait that must still wait. */
  #isHeldUp(call: number, read: number): boolean {
    if ((wordAt(this.#at.control.words, read) & KIND_MASK) !== WAIT_BRANCH) return false
    this.#awaited.find(call, read)
    return !this.#awaited.hasArrived()
  }

  /** Writes the stream's position down, so that any worker can continue here. */
  #leave(stream: number, call: number, read: number, low: number, high: number): void {
    const { control } = this.#at
    this.#laps.end(call)
    control.words[stream + BLOCK_READ] = read
    control.advance(stream, low, high)
  }
}

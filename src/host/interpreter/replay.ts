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
  TIME_WORDS,
  WAIT_BRANCH,
  WATCHED,
} from "../control/layout.js"
import { DONE, GONE, LOADING, type Operations, type Outcome, THREW, jump } from "./operations.js"
import { advance } from "../control/progress.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { TURN, Turns } from "../schedule/turns.js"
import { wordAt } from "../control/words.js"

/**
 * Runs a graph's branch from its block. What other branches do not wait for is run without a word to anybody: progress
 * is published only behind commands that are awaited, and where the worker leaves the stream.
 */
export class Replay {
  /** The position before the last command of the call that {@link run} has run to its end. */
  low = 0
  high = 0
  /** What the worker is to go on with where {@link run} has not come to the end; 0 if it is nothing. */
  next = 0
  private readonly awaited: BranchPoint
  private readonly laps: LapTimer
  private readonly turns: Turns
  private readonly flat: FlatRun

  constructor(
    private readonly at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    private readonly operations: Operations,
  ) {
    this.awaited = new BranchPoint(at.control)
    this.laps = new LapTimer(at.control)
    this.turns = new Turns(at)
    this.flat = new FlatRun(at, operations, this.turns)
  }

  /**
   * Runs the call at `call`, from where it was left.
   * @returns whether it came to the end: the caller then counts the last command
   */
  run(stream: number, call: number, low: number, high: number): boolean {
    const words = this.at.control.catchUp()
    const isAlone = (wordAt(words, call + 5) & ALONE) !== 0
    if (!isAlone || !this.flat.isNext(stream, call)) return this.runBlock(stream, call, low, high) === DONE
    const outcome = this.flat.run(stream, call, low, high)
    this.next = this.flat.next
    if (outcome === GONE) return false
    words[stream + BLOCK_READ] = 0
    this.low = (low + wordAt(words, call + 3) - 1) | 0
    this.high = this.low >>> 0 < low >>> 0 ? (high + 1) | 0 : high
    return true
  }

  private runBlock(stream: number, call: number, firstLow: number, firstHigh: number): Outcome {
    const { operations } = this
    const { control, scheduler } = this.at
    let { words } = control
    const block = wordAt(words, call + 1)
    const end = block + wordAt(words, call + 2)
    let read = wordAt(words, stream + BLOCK_READ)
    this.laps.begin(call, read === 0)
    if (read === 0) read = block + TIME_WORDS
    let low = firstLow
    let high = firstHigh
    const level = wordAt(words, stream + LEVEL)
    let turn = TURN
    // Behind the last command there is nothing but to count it, which the caller does.
    while (read !== end) {
      if (this.turns.isOver(level, --turn)) {
        this.leave(stream, call, read, low, high)
        scheduler.yield(stream)
        this.next = 0
        return GONE
      }
      if (turn <= 0) turn = TURN
      const header = wordAt(words, read)
      const kind = header & KIND_MASK
      if (kind === LAUNCH) {
        const outcome = operations.launch(stream, read)
        if (outcome === THREW) operations.breakOff(stream, low, high)
        if (outcome === LOADING) {
          this.leave(stream, call, read, low, high)
          this.next = stream
          return GONE
        }
      } else if (kind === WAIT_BRANCH) {
        if (!this.wait(stream, call, read, low, high)) return GONE
        words = control.words
      } else if (kind >= JUMP) {
        read += jump(words, stream, kind, read, operations)
        continue
      } else {
        operations.runSimple(stream, kind, read, low, high)
      }
      read += (header >>> KIND_BITS) & LENGTH_MASK
      if ((header & INSIDE) !== 0) continue
      if (read === end) break
      low = (low + 1) | 0
      if (low === 0) high = (high + 1) | 0
      if ((header & PUBLISH) !== 0 && !this.publish(stream, call, read, low, high)) return GONE
    }
    this.laps.end(call)
    words[stream + BLOCK_READ] = 0
    this.low = low
    this.high = high
    return DONE
  }

  /** Runs a wait; false if the stream now waits and is no longer the caller's. */
  private wait(stream: number, call: number, read: number, low: number, high: number): boolean {
    const { awaited } = this
    awaited.find(call, read)
    if (!awaited.hasArrived()) {
      this.leave(stream, call, read, low, high)
      if (this.at.scheduler.suspend(stream, awaited.stream, awaited.high, awaited.low)) {
        this.next = 0
        return false
      }
      this.laps.begin(call, false)
    }
    this.operations.takeOver(stream, awaited.stream, awaited.high, awaited.low, low, high)
    return true
  }

  /** After a command that others wait for; false if the stream is no longer the caller's. */
  private publish(stream: number, call: number, read: number, low: number, high: number): boolean {
    const { control, scheduler } = this.at
    const { awaited } = this
    this.leave(stream, call, read, low, high)
    if ((Atomics.load(control.words, stream + WATCHED) & STREAMS_WATCH) === 0) return true
    if (!this.isHeldUp(call, read)) {
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

  /** Is the command at `read` a wait for what has not come to pass? */
  private isHeldUp(call: number, read: number): boolean {
    if ((wordAt(this.at.control.words, read) & KIND_MASK) !== WAIT_BRANCH) return false
    this.awaited.find(call, read)
    return !this.awaited.hasArrived()
  }

  /** Says how far the stream has come, so that any worker can go on from here. */
  private leave(stream: number, call: number, read: number, low: number, high: number): void {
    const { control } = this.at
    this.laps.end(call)
    control.words[stream + BLOCK_READ] = read
    advance(control, stream, low, high)
  }
}

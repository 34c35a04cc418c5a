import { AwaitedPoint } from "./awaited-point.js"
import type { ControlMemory } from "./control.js"
import { LapTimer } from "./lap-timer.js"
import {
  ALONE,
  BLOCK_READ,
  BROKEN,
  INSIDE,
  JUMP,
  JUMP_IF_ZERO,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LENGTH_MASK,
  LEVEL,
  LIFE,
  LOST,
  PROGRESS_HIGH,
  PROGRESS_LOW,
  PUBLISH,
  STREAMS_WATCH,
  TIME_WORDS,
  WAIT_BRANCH,
  WATCHED,
  hasProgressed,
  hasReached,
} from "./layout.js"
import { Offers, type WaitOperations } from "./offers.js"
import { advance } from "./progress.js"
import type { Scheduler } from "./scheduler.js"

/** Commands that a worker runs of one block before it lets others of the same priority have their turn. */
const TURN = 256
/** After so many commands it looks for work of higher priority. */
const LOOK = 16

/** How running a block has ended. */
type Outcome = typeof DONE | typeof REACHED | typeof GONE | typeof MISSING
/** It came to its end: the last command has to be counted. */
const DONE = 0
/** It came to the position that was asked for. */
const REACHED = 1
/** The stream is no longer the caller's. */
const GONE = 2
/** A kernel has to be loaded first. */
const MISSING = 3

/** How single commands are run. Positions are those before the command. */
export interface Operations extends WaitOperations {
  /** False if the kernel has to be loaded first. */
  launch(stream: number, read: number, low: number, high: number): boolean
  runSimple(stream: number, kind: number, read: number, low: number, high: number): void
  /** Is the condition of the jump at `read` zero? */
  isZero(read: number): boolean
}

/**
 * Runs a graph's branch from its block. What other branches do not wait for is run without a word to anybody: progress
 * is published only behind commands that are awaited, and where the worker leaves the stream.
 *
 * A graph that gains nothing from several threads is run by one: where a branch waits for another one, the worker runs
 * that one as far as needed, then goes on. Branches are offered meanwhile, so that other workers can take them up if
 * this one is held up.
 */
export class Replay {
  /** The position before the last command of the block that {@link run} has run to its end. */
  low = 0
  high = 0
  /** What the worker is to go on with where {@link run} has not come to the end; 0 if it is nothing. */
  next = 0
  private readonly awaited: AwaitedPoint
  private readonly laps: LapTimer
  private readonly offers: Offers

  constructor(
    private readonly at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    private readonly operations: Operations,
  ) {
    this.awaited = new AwaitedPoint(at.control)
    this.laps = new LapTimer(at.control)
    this.offers = new Offers(at, operations)
  }

  /**
   * Runs the call at `call`, from where it was left.
   * @returns whether it came to the end: the caller then counts the last command
   */
  run(stream: number, call: number, low: number, high: number): boolean {
    const outcome = this.runBlock(stream, call, low, high, -1, -1)
    if (outcome === MISSING) this.next = stream
    return outcome === DONE
  }

  /** Runs a block to its end, or until it has come to a position. */
  private runBlock(
    stream: number,
    call: number,
    firstLow: number,
    firstHigh: number,
    untilHigh: number,
    untilLow: number,
  ): Outcome {
    const { operations } = this
    const { control, scheduler } = this.at
    let words = control.catchUp()
    const block = words[call + 1] as number
    const end = block + (words[call + 2] as number)
    const isAlone = ((words[call + 5] as number) & ALONE) !== 0
    let read = words[stream + BLOCK_READ] as number
    this.laps.begin(call, read === 0)
    if (read === 0) read = block + TIME_WORDS
    let low = firstLow
    let high = firstHigh
    const level = words[stream + LEVEL] as number
    let turn = TURN
    for (;;) {
      if (--turn % LOOK === 0 && this.shouldYield(level, turn)) {
        this.leave(stream, call, read, low, high)
        scheduler.yield(stream)
        this.next = 0
        return GONE
      }
      if (turn <= 0) turn = TURN
      const header = words[read] as number
      const kind = header & KIND_MASK
      if (kind === LAUNCH) {
        if (!operations.launch(stream, read, low, high)) {
          this.leave(stream, call, read, low, high)
          return MISSING
        }
      } else if (kind === WAIT_BRANCH) {
        const outcome = this.wait(stream, call, read, low, high, isAlone)
        if (outcome !== REACHED) return outcome
        words = control.words
      } else if (kind >= JUMP) {
        read += this.jump(stream, kind, read)
        continue
      } else {
        operations.runSimple(stream, kind, read, low, high)
      }
      read += (header >>> KIND_BITS) & LENGTH_MASK
      if ((header & INSIDE) !== 0) continue
      if (read === end) break
      low = (low + 1) | 0
      if (low === 0) high = (high + 1) | 0
      if ((header & PUBLISH) !== 0) {
        if (!this.publish(stream, call, read, low, high, isAlone)) return GONE
        if (untilHigh >= 0 && hasReached(high, low, untilHigh, untilLow)) return REACHED
      }
    }
    this.laps.end(call)
    words[stream + BLOCK_READ] = 0
    this.low = low
    this.high = high
    return DONE
  }

  /** How far the next command is from a jump. On a broken stream every condition leads out. */
  private jump(stream: number, kind: number, read: number): number {
    const { words } = this.at.control
    const isTaken =
      kind === JUMP || words[stream + BROKEN] === 1 || this.operations.isZero(read) === (kind === JUMP_IF_ZERO)
    return isTaken ? (words[read + 1] as number) : ((words[read] as number) >>> KIND_BITS) & LENGTH_MASK
  }

  /** Runs a wait: REACHED if what is waited for has come to pass. */
  private wait(stream: number, call: number, read: number, low: number, high: number, isAlone: boolean): Outcome {
    const { scheduler } = this.at
    const { awaited } = this
    awaited.find(call, read)
    const { stream: other, low: awaitedLow, high: awaitedHigh } = awaited
    while (!hasProgressed(this.at.control.words, other, awaitedHigh, awaitedLow)) {
      this.laps.end(call)
      const outcome = isAlone ? this.drive(other, awaitedHigh, awaitedLow) : GONE
      this.laps.begin(call, false)
      if (outcome === REACHED) break
      // The other branch was in an earlier launch still.
      if (outcome === DONE) continue
      this.leave(stream, call, read, low, high)
      if (outcome === MISSING) return MISSING
      if (isAlone && this.stepsBack(stream, call)) return GONE
      if (scheduler.suspend(stream, other, awaitedHigh, awaitedLow)) {
        // Whoever had the other stream may have left it, before this one waited, to whoever would come.
        if (isAlone && scheduler.claim(other)) scheduler.yield(other)
        this.next = 0
        return GONE
      }
    }
    this.operations.takeOver(stream, other, awaitedHigh, awaitedLow, low, high)
    return REACHED
  }

  /** Brings a branch that is offered to a position, and offers it again. MISSING if a kernel has to be loaded first. */
  private drive(stream: number, untilHigh: number, untilLow: number): Outcome {
    const { control, scheduler } = this.at
    if (!scheduler.claim(stream)) return GONE
    // From here on nobody else writes how far it has come.
    const words = control.catchUp()
    if (
      hasReached(words[stream + PROGRESS_HIGH] as number, words[stream + PROGRESS_LOW] as number, untilHigh, untilLow)
    ) {
      this.offers.offer(stream)
      return REACHED
    }
    const call = this.offers.findCall(stream)
    if (call === 0) {
      scheduler.yield(stream)
      return GONE
    }
    const low = words[stream + PROGRESS_LOW] as number
    const high = words[stream + PROGRESS_HIGH] as number
    const outcome = this.runBlock(stream, call, low, high, untilHigh, untilLow)
    if (outcome === DONE) this.offers.finish(stream, call, this.low, this.high)
    else if (outcome !== GONE) this.offers.offer(stream)
    return outcome
  }

  /** Leaves a branch that cannot go on, and that nobody waits for, to whoever will. The first branch has nobody. */
  private stepsBack(stream: number, call: number): boolean {
    const { words } = this.at.control
    if (words[words[call + 4] as number] === stream) return false
    if ((Atomics.load(words, stream + WATCHED) & STREAMS_WATCH) !== 0) return false
    this.offers.offer(stream)
    this.next = 0
    return true
  }

  /** After a command that others wait for; false if the stream is no longer the caller's. */
  private publish(stream: number, call: number, read: number, low: number, high: number, isAlone: boolean): boolean {
    const { control, scheduler } = this.at
    const { awaited } = this
    this.leave(stream, call, read, low, high)
    if ((Atomics.load(control.words, stream + WATCHED) & STREAMS_WATCH) === 0) return true
    if (isAlone || !this.isHeldUp(call, read)) {
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
    if (((this.at.control.words[read] as number) & KIND_MASK) !== WAIT_BRANCH) return false
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

  private shouldYield(level: number, turn: number): boolean {
    const { scheduler, control } = this.at
    if (scheduler.hasReadyAbove(level)) return true
    return turn <= 0 && (scheduler.hasReady() || Atomics.load(control.words, LIFE) === LOST)
  }
}

import type { ControlMemory } from "./control.js"
import {
  ALONE,
  BLOCK_READ,
  CALL,
  CHUNK_WORDS,
  HOST_WATCHES,
  IDLE,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LENGTH_MASK,
  LEVEL,
  LIFE,
  LINK,
  LOST,
  MEASURED,
  PROGRESS_HIGH,
  PROGRESS_LOW,
  PUBLISH,
  READ,
  RUNNING,
  STATE,
  STREAMS_WATCH,
  TABLE_ENTRY_WORDS,
  TAIL,
  TIME_WORDS,
  WAIT,
  WAIT_BRANCH,
  WAIT_WORDS,
  WATCHED,
  hasProgressed,
  hasReached,
} from "./layout.js"
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
export interface Operations {
  /** False if the kernel has to be loaded first. */
  launch(stream: number, read: number, low: number, high: number): boolean
  runSimple(stream: number, kind: number, read: number, low: number, high: number): void
  /** Breaks the stream if the one that it has waited for is broken. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void
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
  /** What {@link find} has found. */
  private other = 0
  private awaitedLow = 0
  private awaitedHigh = 0
  /** When the time that is measured for a call began. */
  private lap = 0

  constructor(
    private readonly at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    private readonly operations: Operations,
  ) {}

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
    let words = this.reaching((control.words[call + 1] as number) + (control.words[call + 2] as number))
    const block = words[call + 1] as number
    const end = block + (words[call + 2] as number)
    const isAlone = ((words[call + 5] as number) & ALONE) !== 0
    let read = words[stream + BLOCK_READ] as number
    this.beginLap(call, read === 0)
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
      } else {
        operations.runSimple(stream, kind, read, low, high)
      }
      read += (header >>> KIND_BITS) & LENGTH_MASK
      if (read === end) break
      low = (low + 1) | 0
      if (low === 0) high = (high + 1) | 0
      if ((header & PUBLISH) !== 0) {
        if (!this.publish(stream, call, read, low, high, isAlone)) return GONE
        if (untilHigh >= 0 && hasReached(high, low, untilHigh, untilLow)) return REACHED
      }
    }
    this.measure(call)
    words[stream + BLOCK_READ] = 0
    this.low = low
    this.high = high
    return DONE
  }

  /** Runs a wait: REACHED if what is waited for has come to pass. */
  private wait(stream: number, call: number, read: number, low: number, high: number, isAlone: boolean): Outcome {
    const { scheduler } = this.at
    this.find(call, read)
    const { other, awaitedHigh, awaitedLow } = this
    if (!this.hasArrived()) {
      const outcome = isAlone ? this.drive(other, awaitedHigh, awaitedLow) : GONE
      if (outcome === GONE || outcome === MISSING) this.leave(stream, call, read, low, high)
      if (outcome === MISSING) return MISSING
      if (outcome === GONE && isAlone && this.steppedBack(stream, call)) return GONE
      if (outcome === GONE && scheduler.suspend(stream, other, awaitedHigh, awaitedLow)) {
        // Whoever had the other stream may have left it, before this one waited, to whoever would come.
        if (isAlone && scheduler.claim(other)) scheduler.yield(other)
        this.next = 0
        return GONE
      }
    }
    this.operations.takeOver(stream, other, awaitedHigh, awaitedLow, low, high)
    return REACHED
  }

  /** Leaves a branch that cannot go on, and that nobody waits for, to whoever will. The first branch has nobody. */
  private steppedBack(stream: number, call: number): boolean {
    const { words } = this.at.control
    if (words[words[call + 4] as number] === stream) return false
    if ((Atomics.load(words, stream + WATCHED) & STREAMS_WATCH) !== 0) return false
    this.offer(stream)
    this.next = 0
    return true
  }

  /** Brings a branch that is offered to a position, and offers it again. MISSING if a kernel has to be loaded first. */
  private drive(stream: number, untilHigh: number, untilLow: number): Outcome {
    const { control, scheduler } = this.at
    if (!scheduler.claim(stream)) return GONE
    const { words } = control
    if (hasProgressed(words, stream, untilHigh, untilLow)) {
      this.offer(stream)
      return REACHED
    }
    const call = this.findCall(stream)
    if (call === 0) {
      scheduler.yield(stream)
      return GONE
    }
    const low = control.words[stream + PROGRESS_LOW] as number
    const high = control.words[stream + PROGRESS_HIGH] as number
    const outcome = this.runBlock(stream, call, low, high, untilHigh, untilLow)
    if (outcome === DONE) this.finish(stream, call)
    else if (outcome !== GONE) this.offer(stream)
    return outcome
  }

  /**
   * Leaves a stream to whoever will wait for it, or to whoever has time if somebody waits already. Others may have run
   * it in between, so that nothing that was known of it may be used afterwards.
   */
  private offer(stream: number): void {
    const { scheduler } = this.at
    if (!scheduler.offer(stream)) scheduler.yield(stream)
  }

  /** The call that an offered stream stands before, or in; 0 if it still has to wait for something. */
  private findCall(stream: number): number {
    let { words } = this.at.control
    let read = words[stream + READ] as number
    for (;;) {
      const kind = (words[read] as number) & KIND_MASK
      if (kind === CALL) {
        words[stream + READ] = read
        return read
      }
      if (kind === LINK) {
        read = words[read + 1] as number
        words = this.reaching(read + CHUNK_WORDS)
      } else if (kind === WAIT && this.passWait(stream, read)) {
        words = this.at.control.words
        read += WAIT_WORDS
        words[stream + READ] = read
      } else {
        return 0
      }
    }
  }

  /** Runs a wait outside the block if what it waits for has come to pass. */
  private passWait(stream: number, read: number): boolean {
    const { words } = this.at.control
    const other = words[read + 1] as number
    const awaitedLow = words[read + 2] as number
    const awaitedHigh = words[read + 3] as number
    if (!hasProgressed(words, other, awaitedHigh, awaitedLow)) return false
    const low = words[stream + PROGRESS_LOW] as number
    const high = words[stream + PROGRESS_HIGH] as number
    this.operations.takeOver(stream, other, awaitedHigh, awaitedLow, low, high)
    this.count(stream, low, high)
    return true
  }

  /** Ends a call that was run for the sake of another branch, and leaves the stream to itself. */
  private finish(stream: number, call: number): void {
    const { scheduler } = this.at
    const { words } = this.at.control
    words[stream + READ] = call + (((words[call] as number) >>> KIND_BITS) & LENGTH_MASK)
    this.count(stream, this.low, this.high)
    for (;;) {
      const low = words[stream + PROGRESS_LOW] as number
      if (low !== Atomics.load(words, stream + TAIL)) {
        if (this.isNextAlone(stream)) this.offer(stream)
        else scheduler.yield(stream)
        return
      }
      Atomics.store(words, stream + STATE, IDLE)
      const isFilled = low !== Atomics.load(words, stream + TAIL)
      if (!isFilled || Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) !== IDLE) break
    }
    scheduler.retire()
  }

  /** Is the next call one that is run by one worker? */
  private isNextAlone(stream: number): boolean {
    let { words } = this.at.control
    let read = words[stream + READ] as number
    for (;;) {
      const kind = (words[read] as number) & KIND_MASK
      if (kind === CALL) return ((words[read + 5] as number) & ALONE) !== 0
      if (kind === LINK) {
        read = words[read + 1] as number
        words = this.reaching(read + CHUNK_WORDS)
      } else if (kind === WAIT) {
        read += WAIT_WORDS
      } else {
        return false
      }
    }
  }

  /** Counts one command of a stream, and tells whoever waits for it. */
  private count(stream: number, low: number, high: number): void {
    const newLow = (low + 1) | 0
    const newHigh = newLow === 0 ? (high + 1) | 0 : high
    this.advance(stream, newLow, newHigh)
    this.tell(stream, newLow, newHigh)
  }

  /** After a command that others wait for; false if the stream is no longer the caller's. */
  private publish(stream: number, call: number, read: number, low: number, high: number, isAlone: boolean): boolean {
    const { control, scheduler } = this.at
    this.leave(stream, call, read, low, high)
    if ((Atomics.load(control.words, stream + WATCHED) & STREAMS_WATCH) === 0) return true
    if (isAlone || !this.isHeldUp(call, read)) {
      scheduler.release(stream, high, low)
      return true
    }
    const woken = scheduler.settle(stream, high, low)
    if (woken === 0) return true
    if (scheduler.suspend(stream, this.other, this.awaitedHigh, this.awaitedLow)) {
      this.next = woken
      return false
    }
    scheduler.yield(woken)
    return true
  }

  private tell(stream: number, low: number, high: number): void {
    const { control, scheduler } = this.at
    const watched = Atomics.load(control.words, stream + WATCHED)
    if ((watched & HOST_WATCHES) !== 0) scheduler.tellHost(stream, high, low)
    if ((watched & STREAMS_WATCH) !== 0) scheduler.release(stream, high, low)
  }

  /** Is the command at `read` a wait for what has not come to pass? */
  private isHeldUp(call: number, read: number): boolean {
    if (((this.at.control.words[read] as number) & KIND_MASK) !== WAIT_BRANCH) return false
    this.find(call, read)
    return !this.hasArrived()
  }

  /** Works out which position of which stream the wait at `read` is for. */
  private find(call: number, read: number): void {
    const { words } = this.at.control
    const entry = (words[call + 4] as number) + TABLE_ENTRY_WORDS * (words[read + 1] as number)
    const baseLow = words[entry + 1] as number
    const baseHigh = words[entry + 2] as number
    this.other = words[entry] as number
    this.awaitedLow = (baseLow + (words[read + 2] as number)) | 0
    this.awaitedHigh = this.awaitedLow >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh
  }

  private hasArrived(): boolean {
    return hasProgressed(this.at.control.words, this.other, this.awaitedHigh, this.awaitedLow)
  }

  /** Says how far the stream has come, so that any worker can go on from here. */
  private leave(stream: number, call: number, read: number, low: number, high: number): void {
    this.measure(call)
    this.at.control.words[stream + BLOCK_READ] = read
    this.advance(stream, low, high)
  }

  private advance(stream: number, low: number, high: number): void {
    const { words } = this.at.control
    Atomics.store(words, stream + PROGRESS_LOW, low)
    if (words[stream + PROGRESS_HIGH] !== high) Atomics.store(words, stream + PROGRESS_HIGH, high)
  }

  private beginLap(call: number, isFirst: boolean): void {
    const { words, doubles } = this.at.control
    if (((words[call + 5] as number) & MEASURED) === 0) return
    this.lap = performance.now()
    if (isFirst) doubles[(words[call + 1] as number) / 2] = 0
  }

  /** Adds the time since the lap began to that which the block has taken. */
  private measure(call: number): void {
    const { words, doubles } = this.at.control
    if (((words[call + 5] as number) & MEASURED) === 0) return
    const now = performance.now()
    const cell = (words[call + 1] as number) / 2
    doubles[cell] = (doubles[cell] as number) + now - this.lap
    this.lap = now
  }

  private shouldYield(level: number, turn: number): boolean {
    const { scheduler, control } = this.at
    if (scheduler.hasReadyAbove(level)) return true
    return turn <= 0 && (scheduler.hasReady() || Atomics.load(control.words, LIFE) === LOST)
  }

  /** The control memory, as far as this at least. */
  private reaching(end: number): Int32Array {
    const { control } = this.at
    if (end > control.words.length) control.refresh()
    return control.words
  }
}

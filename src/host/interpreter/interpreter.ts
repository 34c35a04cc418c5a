import type { ControlMemory } from "../control/control.js"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import {
  ANY_BROKEN,
  BREAK,
  BROKEN,
  BROKEN_HIGH,
  BROKEN_LOW,
  CALL,
  CHUNK_WORDS,
  COMPARE,
  COPY,
  COPY_ROWS,
  DROPPABLE,
  DROPPABLE_WORDS,
  FILL,
  FILL_ROWS,
  HOST_WATCHES,
  IDLE,
  KERNEL,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LAUNCHED_ON,
  LENGTH_MASK,
  LEVEL,
  LIFE,
  LINK,
  LOST,
  NOTHING,
  PROGRESS_HIGH,
  PROGRESS_LOW,
  READ,
  RUNNING,
  STAMP,
  STATE,
  STREAMS_WATCH,
  STREAM_WORDS,
  TAIL,
  TAKES_OVER,
  WAIT,
  WATCHED,
  WRITE,
  hasProgressed,
  hasReached,
  wordAt,
} from "../control/layout.js"
import type { LoadedKernel } from "../kernel/loaded-kernel.js"
import { sharedNow } from "../../common/timers.js"
import type { DeviceMemory } from "../control/memory.js"
import type { FailureReport } from "../kernel/reports.js"
import { breaksBy, compare } from "./compare.js"
import { copyRows, fill } from "./transfers.js"
import { LOADING, type Launched, type Operations, RAN, THREW } from "./operations.js"
import { Replay } from "./replay.js"
import { Stopwatch } from "./stopwatch.js"
import { tellHost } from "../schedule/host-signal.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { describeThrown, type Thrown } from "../kernel/thrown.js"
import { type Violation, ViolationFailure } from "../kernel/violations.js"

/** After this many commands of one stream, a worker serves other ready streams of the same priority. */
const TURN = 64

/** In place of a stream: the worker continues with the current one. */
const SAME = -1

/** What the interpreter needs from its worker. */
export interface Surroundings {
  readonly control: ControlMemory
  readonly memory: DeviceMemory
  readonly scheduler: Scheduler
  /** The worker's control block. */
  readonly block: number
  /** The kernel, or undefined if it must be loaded first. */
  kernel(id: number): LoadedKernel | undefined
  definition(id: number): KernelDefinition
  report(report: FailureReport): void
  /** Reports what a check has found, if that breaks no stream. `kernel` is empty for an operation that is no launch. */
  tell(kernel: string, violation: Violation): void
}

/**
 * Runs commands on a worker: those of one stream until it is empty, has to wait, or has had its turn. Only the worker
 * whose stream is {@link RUNNING} may read or change the stream's position.
 */
export class Interpreter implements Operations {
  /** The kernel that must be loaded before the stream that {@link run} returned can continue. */
  missing = 0
  /** Why the last launch failed. */
  #failure:
    | { readonly kind: "failed"; readonly kernel: string; readonly thrown: Thrown }
    | { readonly kind: "dropped"; readonly kernel: string }
    | undefined
  readonly #replay: Replay
  readonly #stopwatch: Stopwatch
  /** The running stream's next command, and its position: how many commands it has run. */
  #read = 0
  #low = 0
  #high = 0
  readonly #at: Surroundings

  constructor(at: Surroundings) {
    this.#at = at
    this.#stopwatch = new Stopwatch(at)
    this.#replay = new Replay(at, this, this.#stopwatch)
  }

  /**
   * Runs a stream and the streams that it wakes, until none is left.
   * @returns 0, or the stream that needs the kernel {@link missing} to be loaded
   */
  run(first: number): number {
    this.missing = 0
    let stream = first
    while (stream !== 0 && this.missing === 0) stream = this.#runStream(stream)
    return stream
  }

  #runStream(stream: number): number {
    const { control, scheduler } = this.#at
    const { words } = control
    this.#read = wordAt(words, stream + READ)
    this.#low = wordAt(words, stream + PROGRESS_LOW)
    this.#high = wordAt(words, stream + PROGRESS_HIGH)
    const level = wordAt(words, stream + LEVEL)
    let turn = TURN
    for (;;) {
      if (this.#low === Atomics.load(control.words, stream + TAIL)) return this.#finish(stream)
      if (scheduler.hasReadyAbove(level) || --turn <= 0) {
        if (this.#isTurnOver(stream)) return 0
        turn = TURN
      }
      const header = this.#nextHeader()
      const started = header < 0 ? this.#stopwatch.start() : 0 // TIMED is the sign bit.
      const next = this.#runCommand(stream, header & KIND_MASK)
      if (next !== SAME) return next
      if (header < 0) this.#stopwatch.note(stream, this.#low, this.#high, started)
      this.#read += (header >>> KIND_BITS) & LENGTH_MASK
      this.#countCommand(stream)
      const watched = Atomics.load(control.words, stream + WATCHED)
      if (watched === 0) continue
      const woken = this.#tellWatchers(stream, watched)
      if (woken !== 0) return woken
    }
  }

  /** After the last command: gives the stream back. @returns 0, or the stream if new commands came meanwhile */
  #finish(stream: number): number {
    const { control } = this.#at
    control.words[stream + READ] = this.#read
    if (this.#leave(stream)) return 0
    // Another worker may have run the stream before this one acquired it again, so its state must be read anew.
    control.catchUp()
    return stream
  }

  /** Gives the stream back if other streams are ready, or the device is lost. */
  #isTurnOver(stream: number): boolean {
    const { control, scheduler } = this.#at
    if (!scheduler.hasReady()) return Atomics.load(control.words, LIFE) === LOST
    control.words[stream + READ] = this.#read
    scheduler.yield(stream)
    return true
  }

  /** The first word of the next command. Follows the link to the queue's next chunk. */
  #nextHeader(): number {
    const { control } = this.#at
    const header = wordAt(control.words, this.#read)
    if ((header & KIND_MASK) !== LINK) return header
    this.#read = wordAt(control.words, this.#read + 1)
    if (this.#read + CHUNK_WORDS > control.words.length) control.refresh()
    return wordAt(control.words, this.#read)
  }

  /** @returns {@link SAME} once the command has run, else the stream to go on with, or 0 */
  #runCommand(stream: number, kind: number): number {
    const { words } = this.#at.control
    const read = this.#read
    const low = this.#low
    const high = this.#high
    if (kind === LAUNCH || kind === DROPPABLE) {
      const outcome = kind === LAUNCH ? this.launch(stream, read) : this.#launchUnlessDropped(stream, read)
      if (outcome === THREW) this.breakOff(stream, low, high)
      if (outcome !== LOADING) return SAME
      words[stream + READ] = read
      return stream
    }
    if (kind === WAIT) {
      words[stream + READ] = read
      return this.#wait(stream, read, low, high) ? 0 : SAME
    }
    if (kind === CALL) {
      words[stream + READ] = read
      const replay = this.#replay
      if (!replay.run(stream, read, low, high)) return replay.next
      this.#low = replay.low
      this.#high = replay.high
      return SAME
    }
    // To skip it as an unknown kind would give wrong values. This way the device is lost, and says so.
    if (kind === NOTHING) throw new RangeError(`the queue of a stream has no command at word ${read}`)
    this.runSimple(stream, kind, read, low, high)
    return SAME
  }

  #countCommand(stream: number): void {
    const { words } = this.#at.control
    this.#low = (this.#low + 1) | 0
    Atomics.store(words, stream + PROGRESS_LOW, this.#low)
    if (this.#low !== 0) return
    this.#high = (this.#high + 1) | 0
    Atomics.store(words, stream + PROGRESS_HIGH, this.#high)
  }

  /** @returns the woken stream to continue with, having given this one back, or 0 to continue with this one */
  #tellWatchers(stream: number, watched: number): number {
    const { control, scheduler } = this.#at
    if ((watched & HOST_WATCHES) !== 0) tellHost(control.words, stream, this.#high, this.#low)
    if ((watched & STREAMS_WATCH) === 0) return 0
    control.words[stream + READ] = this.#read
    const woken = scheduler.settle(stream, this.#high, this.#low)
    if (woken === 0) return 0
    if (this.#low !== Atomics.load(control.words, stream + TAIL) || !this.#leave(stream)) scheduler.yield(stream)
    return woken
  }

  /** Gives an empty stream back. @returns false if new commands came and the caller has acquired it again */
  #leave(stream: number): boolean {
    const { control, scheduler } = this.#at
    const { words } = control
    Atomics.store(words, stream + STATE, IDLE)
    const filled = this.#low !== Atomics.load(words, stream + TAIL)
    if (filled && Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) === IDLE) return false
    scheduler.retire()
    return true
  }

  /** Runs a wait. @returns true if the stream is suspended: then the caller no longer has it */
  #wait(stream: number, read: number, low: number, high: number): boolean {
    const { control, scheduler } = this.#at
    let words = control.words
    const other = wordAt(words, read + 1)
    const awaitedHigh = wordAt(words, read + 3)
    const awaitedLow = wordAt(words, read + 2)
    if (other + STREAM_WORDS > words.length) {
      control.refresh()
      words = control.words
    }
    const how = wordAt(words, read + 4)
    if (!hasProgressed(words, other, awaitedHigh, awaitedLow)) {
      if (scheduler.suspend(stream, other, awaitedHigh, awaitedLow, how)) return true
      words = control.words
    }
    if ((how & TAKES_OVER) !== 0) this.takeOver(stream, other, awaitedHigh, awaitedLow, low, high)
    return false
  }

  /** Breaks a stream whose wait is over, if the stream that it waited for broke before the awaited position. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void {
    const { words } = this.#at.control
    if (words[other + BROKEN] !== 1) return
    const brokenHigh = wordAt(words, other + BROKEN_HIGH)
    const brokenLow = wordAt(words, other + BROKEN_LOW)
    if (hasReached(awaitedHigh, awaitedLow, brokenHigh, brokenLow)) {
      this.#fail(stream, low, high, { kind: "waited", stream, cause: other })
    }
  }

  launch(stream: number, read: number): Launched {
    const { control, block } = this.#at
    const { words } = control
    if (words[stream + BROKEN] === 1) return RAN
    const id = wordAt(words, read + 1)
    words[block + KERNEL] = id
    try {
      const kernel = this.#at.kernel(id)
      if (kernel === undefined) {
        this.missing = id
        return LOADING
      }
      kernel.run(control, read)
      return RAN
    } catch (error) {
      const kernel = this.#at.definition(id).name
      this.#failure = { kind: "failed", kernel, thrown: describeThrown(error, kernel) }
      return THREW
    }
  }

  #launchUnlessDropped(stream: number, read: number): Launched {
    const { words } = this.#at.control
    const launch = read + DROPPABLE_WORDS
    if (words[stream + BROKEN] === 1 || Atomics.load(words, read + 1) === 0) return this.launch(stream, launch)
    this.#failure = { kind: "dropped", kernel: this.#at.definition(wordAt(words, launch + 1)).name }
    return THREW
  }

  breakOff(stream: number, low: number, high: number): void {
    if (this.#failure !== undefined) this.#fail(stream, low, high, { ...this.#failure, stream })
  }

  isZero(read: number): boolean {
    const { control, memory } = this.#at
    return memory.loadInt32(wordAt(control.words, read + 2) >>> 0) === 0
  }

  runSimple(stream: number, kind: number, read: number, low: number, high: number): void {
    const { control, memory } = this.#at
    const { words } = control
    if (kind === STAMP) {
      const slot = wordAt(words, read + 1)
      if (slot + 2 > words.length) control.refresh()
      control.doubles[slot / 2] = sharedNow()
    } else if (words[stream + BROKEN] === 1) {
      return
    } else if (kind === COPY) {
      const destination = wordAt(words, read + 1) >>> 0
      const source = wordAt(words, read + 2) >>> 0
      const count = wordAt(words, read + 3) >>> 0
      memory.reaching(Math.max(destination, source) + count).copyWithin(destination, source, source + count)
    } else if (kind === WRITE) {
      const destination = wordAt(words, read + 1) >>> 0
      const count = wordAt(words, read + 2)
      const start = (read + 3) * 4
      memory.reaching(destination + count).set(control.bytes.subarray(start, start + count), destination)
    } else if (kind === FILL) {
      fill(memory, words, read, 1, 0)
    } else if (kind === COPY_ROWS) {
      copyRows(memory, words, read)
    } else if (kind === FILL_ROWS) {
      fill(memory, words, read, wordAt(words, read + 6) >>> 0, wordAt(words, read + 7) >>> 0)
    } else if (kind === BREAK) {
      this.#fail(stream, low, high, { kind: "told", stream, failure: wordAt(words, read + 1) })
    } else if (kind === COMPARE) {
      this.#compare(stream, read, low, high)
    }
  }

  #compare(stream: number, read: number, low: number, high: number): void {
    const violation = compare(this.#at.memory, this.#at.control.words, read)
    if (violation === undefined) return
    if (!breaksBy(this.#at.control.words, read)) return this.#at.tell("", violation)
    const thrown = describeThrown(new ViolationFailure(violation), "")
    this.#fail(stream, low, high, { kind: "failed", stream, kernel: "", thrown })
  }

  #isReported(report: FailureReport): boolean {
    return report.kind === "waited" && this.#at.control.words[report.cause + LAUNCHED_ON] !== 0
  }

  /**
   * Breaks a stream after its current command, unless it is broken already. If the stream runs a branch of an
   * interrupted flat run, the report names the stream that the graph was launched on.
   */
  #fail(stream: number, low: number, high: number, report: FailureReport): void {
    const { words } = this.#at.control
    if (words[stream + BROKEN] === 1) return
    const launchedOn = wordAt(words, stream + LAUNCHED_ON)
    if (report.kind === "failed") this.#at.report({ ...report, stream: launchedOn === 0 ? stream : launchedOn })
    else if (launchedOn === 0 && !this.#isReported(report)) this.#at.report(report)
    const brokenLow = (low + 1) | 0
    words[stream + BROKEN_LOW] = brokenLow
    words[stream + BROKEN_HIGH] = brokenLow === 0 ? high + 1 : high
    Atomics.store(words, ANY_BROKEN, 1)
    Atomics.store(words, stream + BROKEN, 1)
  }
}

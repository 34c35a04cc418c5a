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
  COPY,
  DROPPABLE,
  DROPPABLE_WORDS,
  EXTENT,
  FILL,
  HOST_WATCHES,
  IDLE,
  KERNEL,
  KIND_BITS,
  KIND_MASK,
  LAUNCH,
  LAUNCHED_ON,
  LEVEL,
  LIFE,
  LINK,
  LOST,
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
} from "../control/layout.js"
import type { LoadedKernel } from "../kernel/loaded-kernel.js"
import { sharedNow } from "../../common/timers.js"
import type { DeviceMemory } from "../control/memory.js"
import type { Report } from "../kernel/reports.js"
import { LOADING, type Launched, type Operations, RAN, THREW } from "./operations.js"
import { Replay } from "./replay.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { describeThrown, type Thrown } from "../kernel/thrown.js"
import { wordAt } from "../control/words.js"

/** Commands that a worker runs of one stream before it lets others of the same priority have their turn. */
const TURN = 64

/** What a worker's interpreter needs of its surroundings. */
export interface Surroundings {
  readonly control: ControlMemory
  readonly memory: DeviceMemory
  readonly scheduler: Scheduler
  /** The worker's control block. */
  readonly block: number
  /** The kernel, if it can be run at once. */
  kernel(id: number): LoadedKernel | undefined
  definition(id: number): KernelDefinition
  report(report: Report): void
}

/** Runs the commands of one stream after another. */
export class Interpreter implements Operations {
  /** The kernel that {@link run} has stopped before, because it has to be loaded first. */
  missing = 0
  /** What was thrown last, or dropped. */
  private failure:
    | { readonly kind: "failed"; readonly kernel: string; readonly thrown: Thrown }
    | { readonly kind: "dropped"; readonly kernel: string }
    | undefined
  private readonly replay: Replay

  constructor(private readonly at: Surroundings) {
    this.replay = new Replay(at, this)
  }

  /**
   * Runs a stream, and those that it wakes, until nothing is left to go on with.
   * @returns 0, or the stream that cannot go on before the kernel {@link missing} has been loaded
   */
  run(first: number): number {
    this.missing = 0
    let stream = first
    while (stream !== 0 && this.missing === 0) stream = this.runStream(stream)
    return stream
  }

  private runStream(stream: number): number {
    const { control, scheduler } = this.at
    let words = control.words
    let read = wordAt(words, stream + READ)
    let low = wordAt(words, stream + PROGRESS_LOW)
    let high = wordAt(words, stream + PROGRESS_HIGH)
    const level = wordAt(words, stream + LEVEL)
    let turn = TURN
    for (;;) {
      if (low === Atomics.load(words, stream + TAIL)) {
        words[stream + READ] = read
        if (this.leave(stream, low)) return 0
        // Between giving it back and taking it again others may have run it: what is known of it here is old.
        if (Atomics.load(words, EXTENT) > words.length) control.refresh()
        return stream
      }
      if (scheduler.hasReadyAbove(level) || --turn <= 0) {
        if (scheduler.hasReady()) {
          words[stream + READ] = read
          scheduler.yield(stream)
          return 0
        }
        if (Atomics.load(words, LIFE) === LOST) return 0
        turn = TURN
      }
      const header = wordAt(words, read)
      const kind = header & KIND_MASK
      if (kind === LINK) {
        read = wordAt(words, read + 1)
        if (read + CHUNK_WORDS > words.length) {
          control.refresh()
          words = control.words
        }
        continue
      }
      if (kind === WAIT) {
        words[stream + READ] = read
        if (this.wait(stream, read, low, high)) return 0
        words = control.words
      } else if (kind === LAUNCH || kind === DROPPABLE) {
        const outcome = kind === LAUNCH ? this.launch(stream, read) : this.launchUnlessDropped(stream, read)
        if (outcome === THREW) this.breakOff(stream, low, high)
        if (outcome === LOADING) {
          words[stream + READ] = read
          return stream
        }
      } else if (kind === CALL) {
        words[stream + READ] = read
        const { replay } = this
        if (!replay.run(stream, read, low, high)) return replay.next
        low = replay.low
        high = replay.high
        words = control.words
      } else {
        this.runSimple(stream, kind, read, low, high)
      }
      read += header >>> KIND_BITS
      low = (low + 1) | 0
      Atomics.store(words, stream + PROGRESS_LOW, low)
      if (low === 0) {
        high = (high + 1) | 0
        Atomics.store(words, stream + PROGRESS_HIGH, high)
      }
      const watched = Atomics.load(words, stream + WATCHED)
      if (watched !== 0) {
        if ((watched & HOST_WATCHES) !== 0) scheduler.tellHost(stream, high, low)
        if ((watched & STREAMS_WATCH) !== 0) {
          words[stream + READ] = read
          const woken = scheduler.settle(stream, high, low)
          words = control.words
          if (woken !== 0) {
            if (low !== Atomics.load(words, stream + TAIL) || !this.leave(stream, low)) scheduler.yield(stream)
            return woken
          }
        }
      }
    }
  }

  /** Gives an empty stream back; false if it has been filled meanwhile and is the caller's once more. */
  private leave(stream: number, low: number): boolean {
    const { control, scheduler } = this.at
    const { words } = control
    Atomics.store(words, stream + STATE, IDLE)
    const filled = low !== Atomics.load(words, stream + TAIL)
    if (filled && Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) === IDLE) return false
    scheduler.retire()
    return true
  }

  /** Runs a wait; true if the stream now waits and is no longer the caller's. */
  private wait(stream: number, read: number, low: number, high: number): boolean {
    const { control, scheduler } = this.at
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

  /** Breaks a stream that has come to its wait for another one if that is broken. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void {
    const { words } = this.at.control
    if (words[other + BROKEN] !== 1) return
    const brokenHigh = wordAt(words, other + BROKEN_HIGH)
    const brokenLow = wordAt(words, other + BROKEN_LOW)
    if (hasReached(awaitedHigh, awaitedLow, brokenHigh, brokenLow)) {
      this.fail(stream, low, high, { kind: "waited", stream, cause: other })
    }
  }

  launch(stream: number, read: number): Launched {
    const { control, block } = this.at
    const { words } = control
    if (words[stream + BROKEN] === 1) return RAN
    const id = wordAt(words, read + 1)
    words[block + KERNEL] = id
    try {
      const kernel = this.at.kernel(id)
      if (kernel === undefined) {
        this.missing = id
        return LOADING
      }
      kernel.run(control, read)
      return RAN
    } catch (error) {
      const kernel = this.at.definition(id).name
      this.failure = { kind: "failed", kernel, thrown: describeThrown(error, kernel) }
      return THREW
    }
  }

  private launchUnlessDropped(stream: number, read: number): Launched {
    const { words } = this.at.control
    const launch = read + DROPPABLE_WORDS
    if (words[stream + BROKEN] === 1 || Atomics.load(words, read + 1) === 0) return this.launch(stream, launch)
    this.failure = { kind: "dropped", kernel: this.at.definition(wordAt(words, launch + 1)).name }
    return THREW
  }

  breakOff(stream: number, low: number, high: number): void {
    if (this.failure !== undefined) this.fail(stream, low, high, { ...this.failure, stream })
  }

  isZero(read: number): boolean {
    const { control, memory } = this.at
    return memory.loadInt32(wordAt(control.words, read + 2) >>> 0) === 0
  }

  runSimple(stream: number, kind: number, read: number, low: number, high: number): void {
    const { control, memory } = this.at
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
      fill(memory, words, read)
    } else if (kind === BREAK) {
      this.fail(stream, low, high, { kind: "told", stream, failure: wordAt(words, read + 1) })
    }
  }

  private isReported(report: Report): boolean {
    return report.kind === "waited" && this.at.control.words[report.cause + LAUNCHED_ON] !== 0
  }

  /**
   * Breaks a stream behind the command that it is at, unless it is broken already. What breaks a branch of an interrupted
   * run is reported as what breaks the stream of its launch, which will wait for it.
   */
  private fail(stream: number, low: number, high: number, report: Report): void {
    const { words } = this.at.control
    if (words[stream + BROKEN] === 1) return
    const launchedOn = wordAt(words, stream + LAUNCHED_ON)
    if (report.kind === "failed") this.at.report({ ...report, stream: launchedOn === 0 ? stream : launchedOn })
    else if (launchedOn === 0 && !this.isReported(report)) this.at.report(report)
    const brokenLow = (low + 1) | 0
    words[stream + BROKEN_LOW] = brokenLow
    words[stream + BROKEN_HIGH] = brokenLow === 0 ? high + 1 : high
    Atomics.store(words, ANY_BROKEN, 1)
    Atomics.store(words, stream + BROKEN, 1)
  }
}

function fill(memory: DeviceMemory, words: Int32Array, read: number): void {
  const destination = wordAt(words, read + 1) >>> 0
  const size = wordAt(words, read + 2)
  const low = wordAt(words, read + 3)
  const high = wordAt(words, read + 4)
  const count = wordAt(words, read + 5) >>> 0
  const { buffer } = memory.reaching(destination + size * count)
  if (low === 0 && high === 0) new Uint8Array(buffer, destination, size * count).fill(0)
  else if (size === 1) new Uint8Array(buffer, destination, count).fill(low)
  else if (size === 2) new Uint16Array(buffer, destination, count).fill(low)
  else if (size === 4) new Int32Array(buffer, destination, count).fill(low)
  else if (low === high) new Int32Array(buffer, destination, count * 2).fill(low)
  else new BigInt64Array(buffer, destination, count).fill((BigInt(high) << 32n) | BigInt(low >>> 0))
}

import type { ControlMemory } from "../control/control.js"
import {
  ACTIVE,
  AWAITED_HIGH,
  AWAITED_LOW,
  BROKEN,
  CLOSING,
  DOORBELL,
  ENDING_WAITERS,
  ENDS_BROKEN,
  EXTENT,
  HOST_HIGH,
  HOST_LISTED,
  HOST_LOW,
  HOST_NEXT,
  HOST_PASSED,
  HOST_WATCHES,
  IDLE,
  LEVEL,
  LEVELS,
  LIFE,
  LOCK,
  LOST,
  NEXT,
  READY,
  READY_COUNT,
  READY_HEADS,
  READY_MASK,
  READY_TAILS,
  RUNNING,
  SIGNAL,
  SLEEPING,
  SPINNING,
  STATE,
  STREAMS_WATCH,
  WAITERS,
  WAITING,
  WAKING,
  WATCHED,
  WATCHERS,
  hasProgressed,
  hasReached,
  wordAt,
} from "../control/layout.js"
import { lock, unlock } from "../control/mutex.js"
import { addWaiter, isReached, takeFirstWaiter } from "./waiters.js"
import { RunWatch } from "./run-watch.js"

/** How often flat runs are looked at, in milliseconds: one that stands for so long is interrupted. */
const WATCH = 2

/**
 * Which streams are ready, which ones wait for which, which workers sleep. One mutex guards it all; nobody holds it for
 * longer than a few list operations.
 *
 * No wake-up is lost, because whoever changes something looks for watchers after the change, and whoever watches looks
 * at the thing once more after it has put itself down as a watcher (all sequentially consistent).
 */
export class Scheduler {
  private readonly runs: RunWatch

  /** @param whenLate called while the lock is waited for in vain; what it throws ends the waiting */
  constructor(
    private readonly control: ControlMemory,
    private readonly whenLate?: () => void,
  ) {
    this.runs = new RunWatch(control, (stream) => this.push(stream))
  }

  /** Tells the workers that an idle stream has work. On the opening thread, after it has published the tail. */
  submit(stream: number): boolean {
    return Atomics.load(this.control.words, stream + STATE) === IDLE && this.submitIdle(stream)
  }

  private submitIdle(stream: number): boolean {
    const words = this.control.words
    if (Atomics.compareExchange(words, stream + STATE, IDLE, READY) !== IDLE) return false
    Atomics.add(words, ACTIVE, 1)
    lock(words, LOCK, this.whenLate)
    this.push(stream)
    const wake = this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
    return true
  }

  /**
   * Queues an idle stream's work behind a position of another stream, so that no worker is woken before that. On the
   * opening thread, after it has published the tail.
   */
  submitBehind(stream: number, other: number, high: number, low: number): boolean {
    const words = this.control.words
    if (Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) !== IDLE) return false
    Atomics.add(words, ACTIVE, 1)
    if (!this.suspend(stream, other, high, low)) this.yield(stream)
    return true
  }

  /** Makes a stream that a worker runs ready again, for whoever comes first. */
  yield(stream: number): void {
    const words = this.lock()
    this.push(stream)
    const wake = this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
  }

  /** Takes the ready stream that comes first, to be run by the caller; 0 if there is none. */
  take(): number {
    const words = this.lock()
    const stream = this.pop()
    const wake = stream !== 0 && this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
    return stream
  }

  /** Is there work of a higher priority than a level's? */
  hasReadyAbove(level: number): boolean {
    return Atomics.load(this.control.words, READY_MASK) >>> (level + 1) !== 0
  }

  hasReady(): boolean {
    return Atomics.load(this.control.words, READY_MASK) !== 0
  }

  /** Counts the caller as spinning if fewer than `limit` workers do. */
  beginSpinning(limit: number): boolean {
    const words = this.lock()
    const allowed = wordAt(words, SPINNING) < limit && words[READY_MASK] === 0
    if (allowed) words[SPINNING] = wordAt(words, SPINNING) + 1
    unlock(words, LOCK)
    return allowed
  }

  endSpinning(): void {
    const words = this.lock()
    words[SPINNING] = wordAt(words, SPINNING) - 1
    unlock(words, LOCK)
  }

  /**
   * Sleeps until the doorbell rings, if there is no work and `mayStay` holds once the caller counts as sleeping.
   * @returns whether the time, in milliseconds, has run out first
   */
  sleep(mayStay: () => boolean, time: number): boolean {
    const words = this.lock()
    if (words[READY_MASK] !== 0) {
      unlock(words, LOCK)
      return false
    }
    const bell = Atomics.load(words, DOORBELL)
    const watches = this.lacksWatcher()
    words[SLEEPING] = wordAt(words, SLEEPING) + 1
    if (watches) words[WATCHERS] = 1
    unlock(words, LOCK)
    let late = this.rest(mayStay, bell, watches ? WATCH : time)
    if (watches) while (late && this.looksInVain()) late = this.rest(mayStay, bell, WATCH)
    words[SLEEPING] = wordAt(words, SLEEPING) - 1
    words[WAKING] = Math.max(0, wordAt(words, WAKING) - 1)
    if (watches) words[WATCHERS] = 0
    unlock(words, LOCK)
    return late && !watches
  }

  /** Has the flat runs of a stream looked at from now on, so that they are interrupted if they stand still. */
  watchRuns(stream: number): void {
    if (this.runs.has(stream)) return
    const words = this.lock()
    this.runs.add(stream)
    const wake = this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
  }

  /** Returns once whoever has the lock now is through. */
  passLock(): void {
    unlock(this.lock(), LOCK)
  }

  /** Wakes every sleeping worker. */
  wakeAll(): void {
    const words = this.control.words
    Atomics.add(words, DOORBELL, 1)
    Atomics.notify(words, DOORBELL)
  }

  /** One stream less that is not idle. The last one at the end lets the workers go. */
  retire(): void {
    const words = this.control.words
    const left = Atomics.sub(words, ACTIVE, 1) - 1
    if (left === 0 && Atomics.load(words, LIFE) !== 0) this.wakeAll()
  }

  /** Has the device been closed, and is there nothing left to do, or is it lost? */
  isOver(): boolean {
    const words = this.control.words
    const life = Atomics.load(words, LIFE)
    return life === LOST || (life === CLOSING && Atomics.load(words, ACTIVE) === 0)
  }

  /**
   * Makes a stream wait for a position of another one, holding no worker meanwhile. `how`: the bits of a wait.
   * @returns false if there is nothing to wait for: then the stream is still the caller's
   */
  suspend(stream: number, other: number, high: number, low: number, how = 0): boolean {
    const words = this.lock()
    const endsBroken = (how & ENDS_BROKEN) !== 0
    words[stream + AWAITED_HIGH] = high
    words[stream + AWAITED_LOW] = low
    // Before the look at the progress, so that whoever makes progress after it comes here for the lock.
    Atomics.or(words, other + WATCHED, STREAMS_WATCH)
    const waits = !hasProgressed(words, other, high, low) && !(endsBroken && Atomics.load(words, other + BROKEN) === 1)
    if (waits) {
      Atomics.store(words, stream + STATE, WAITING)
      addWaiter(words, other + (endsBroken ? ENDING_WAITERS : WAITERS), stream)
    } else {
      this.unwatchIfAlone(other)
    }
    unlock(words, LOCK)
    return waits
  }

  /**
   * After progress of a watched stream: wakes what has waited for it.
   * @returns the first woken stream, for the caller to run; 0 if there is none. The others are ready.
   */
  settle(stream: number, high: number, low: number): number {
    const words = this.lock()
    let first = 0
    for (let waiter = this.takeOver(stream, high, low); waiter !== 0; waiter = this.takeOver(stream, high, low)) {
      if (first === 0) {
        first = waiter
      } else if (wordAt(words, waiter + LEVEL) > wordAt(words, first + LEVEL)) {
        this.push(first)
        first = waiter
      } else {
        this.push(waiter)
      }
    }
    if (first !== 0) Atomics.store(words, first + STATE, RUNNING)
    this.unwatchIfAlone(stream)
    const wake = this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
    return first
  }

  /** After progress of a watched stream: makes what has waited for it ready, while the caller goes on with its own. */
  release(stream: number, high: number, low: number): void {
    const words = this.lock()
    for (let waiter = this.takeOver(stream, high, low); waiter !== 0; waiter = this.takeOver(stream, high, low)) {
      this.push(waiter)
    }
    this.unwatchIfAlone(stream)
    const wake = this.callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
  }

  /** Takes out one of the streams whose wait for another one is over, now that that has come to a position; 0 if none. */
  private takeOver(other: number, high: number, low: number): number {
    const { words } = this.control
    const waiter = wordAt(words, other + WAITERS)
    if (waiter !== 0 && isReached(words, waiter, high, low)) return takeFirstWaiter(words, other + WAITERS)
    const ending = wordAt(words, other + ENDING_WAITERS)
    if (ending === 0) return 0
    const isOver = isReached(words, ending, high, low) || Atomics.load(words, other + BROKEN) === 1
    return isOver ? takeFirstWaiter(words, other + ENDING_WAITERS) : 0
  }

  /** Nobody has to hear of a stream's progress that no stream waits for. */
  private unwatchIfAlone(stream: number): void {
    const { words } = this.control
    if (words[stream + WAITERS] !== 0 || words[stream + ENDING_WAITERS] !== 0) return
    Atomics.and(words, stream + WATCHED, ~STREAMS_WATCH)
  }

  /** After progress of a stream that the opening thread watches: wakes it if its position has been reached. */
  tellHost(stream: number, high: number, low: number): void {
    const words = this.control.words
    if (!hasReached(high, low, wordAt(words, stream + HOST_HIGH), wordAt(words, stream + HOST_LOW))) return
    Atomics.and(words, stream + WATCHED, ~HOST_WATCHES)
    this.listForHost(stream)
    this.signal()
  }

  /** Puts a stream in the list of those that the opening thread looks at, unless it is there and not yet looked at. */
  private listForHost(stream: number): void {
    const { words } = this.control
    if (Atomics.exchange(words, stream + HOST_LISTED, 1) === 1) return
    let first: number
    do {
      first = Atomics.load(words, HOST_PASSED)
      words[stream + HOST_NEXT] = first
    } while (Atomics.compareExchange(words, HOST_PASSED, first, stream) !== first)
  }

  /** Wakes the opening thread. */
  signal(): void {
    const words = this.control.words
    Atomics.add(words, SIGNAL, 1)
    Atomics.notify(words, SIGNAL)
  }

  private lock(): Int32Array {
    lock(this.control.words, LOCK, this.whenLate)
    // Streams made since the last look may lie beyond this thread's view.
    if (wordAt(this.control.words, EXTENT) > this.control.words.length) this.control.refresh()
    return this.control.words
  }

  /** Decides, under the lock, whether one more worker has to be woken for what is ready. */
  private callWorker(): boolean {
    const words = this.control.words
    const coming = wordAt(words, SPINNING) + wordAt(words, WAKING)
    const wanted = wordAt(words, READY_COUNT) + (this.lacksWatcher() ? 1 : 0)
    if (wanted <= coming) return false
    if (wordAt(words, SLEEPING) <= wordAt(words, WAKING)) return false
    words[WAKING] = wordAt(words, WAKING) + 1
    Atomics.add(words, DOORBELL, 1)
    return true
  }

  private lacksWatcher(): boolean {
    const words = this.control.words
    return !this.runs.isEmpty() && words[WATCHERS] === 0
  }

  /** Sleeps, then takes the lock. @returns whether the time has run out */
  private rest(mayStay: () => boolean, bell: number, time: number): boolean {
    const late = mayStay() && Atomics.wait(this.control.words, DOORBELL, bell, time) === "timed-out"
    this.lock()
    return late
  }

  /** Looks at the flat runs; true, and the lock given back, if that is to be done again, as nothing has come of it. */
  private looksInVain(): boolean {
    this.runs.look()
    const isInVain = !this.runs.isEmpty() && this.control.words[READY_MASK] === 0
    if (isInVain) unlock(this.control.words, LOCK)
    return isInVain
  }

  private push(stream: number): void {
    const words = this.control.words
    const level = wordAt(words, stream + LEVEL)
    Atomics.store(words, stream + STATE, READY)
    words[stream + NEXT] = 0
    const last = wordAt(words, READY_TAILS + level)
    if (last === 0) words[READY_HEADS + level] = stream
    else words[last + NEXT] = stream
    words[READY_TAILS + level] = stream
    words[READY_COUNT] = wordAt(words, READY_COUNT) + 1
    Atomics.or(words, READY_MASK, 1 << level)
  }

  private pop(): number {
    const words = this.control.words
    const mask = wordAt(words, READY_MASK)
    if (mask === 0) return 0
    const level = Math.min(LEVELS - 1, 31 - Math.clz32(mask))
    const stream = wordAt(words, READY_HEADS + level)
    const next = wordAt(words, stream + NEXT)
    words[READY_HEADS + level] = next
    if (next === 0) {
      words[READY_TAILS + level] = 0
      Atomics.and(words, READY_MASK, ~(1 << level))
    }
    words[READY_COUNT] = wordAt(words, READY_COUNT) - 1
    Atomics.store(words, stream + STATE, RUNNING)
    return stream
  }
}

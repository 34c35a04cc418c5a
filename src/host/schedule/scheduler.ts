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
  IDLE,
  LEVEL,
  LIFE,
  LOCK,
  LOST,
  READY,
  READY_COUNT,
  READY_MASK,
  RUNNING,
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
  wordAt,
} from "../control/layout.js"
import { lock, unlock } from "../control/mutex.js"
import { popReady, pushReady } from "./ready-lists.js"
import { addWaiter, isReached, takeFirstWaiter } from "./waiters.js"
import { RunWatch } from "./run-watch.js"

/** How often the watcher checks flat runs, in milliseconds. A run that stands still that long is interrupted. */
const WATCH = 2

/**
 * Which streams are ready, which wait for others, and which workers sleep. One mutex guards all of it, and is never held
 * for longer than a few list operations.
 *
 * No wake-up is lost: code that changes something checks for watchers after the change, and a watcher checks for the change
 * after it has registered. All these accesses are sequentially consistent.
 */
export class Scheduler {
  readonly #runs: RunWatch
  readonly #control: ControlMemory
  readonly #whenLate: (() => void) | undefined

  /** @param whenLate called repeatedly while the lock stays locked for long; if it throws, the wait ends */
  constructor(control: ControlMemory, whenLate?: () => void) {
    this.#control = control
    this.#whenLate = whenLate
    this.#runs = new RunWatch(control, (stream) => pushReady(control.words, stream))
  }

  /** Makes an idle stream with new commands ready. On the opening thread, after it has published the tail. */
  submit(stream: number): boolean {
    return Atomics.load(this.#control.words, stream + STATE) === IDLE && this.#submitIdle(stream)
  }

  #submitIdle(stream: number): boolean {
    const words = this.#control.words
    if (Atomics.compareExchange(words, stream + STATE, IDLE, READY) !== IDLE) return false
    Atomics.add(words, ACTIVE, 1)
    lock(words, LOCK, this.#whenLate)
    pushReady(words, stream)
    this.#unlockAndCall(words)
    return true
  }

  /**
   * Makes an idle stream with new commands wait for a position of another stream, so that no worker is woken before. On
   * the opening thread, after it has published the tail.
   */
  submitBehind(stream: number, other: number, high: number, low: number): boolean {
    const words = this.#control.words
    if (Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) !== IDLE) return false
    Atomics.add(words, ACTIVE, 1)
    if (!this.suspend(stream, other, high, low)) this.yield(stream)
    return true
  }

  /** Makes a running stream ready again, for any worker. */
  yield(stream: number): void {
    const words = this.#lock()
    pushReady(words, stream)
    this.#unlockAndCall(words)
  }

  /** Removes the first ready stream, which the caller then runs. @returns 0 if there is none */
  take(): number {
    const words = this.#lock()
    const stream = popReady(words)
    if (stream === 0) unlock(words, LOCK)
    else this.#unlockAndCall(words)
    return stream
  }

  /** Whether a stream of a higher level is ready. */
  hasReadyAbove(level: number): boolean {
    return Atomics.load(this.#control.words, READY_MASK) >>> (level + 1) !== 0
  }

  hasReady(): boolean {
    return Atomics.load(this.#control.words, READY_MASK) !== 0
  }

  /** Counts the caller as spinning, if fewer than `limit` workers spin and no stream is ready. */
  beginSpinning(limit: number): boolean {
    const words = this.#lock()
    const allowed = wordAt(words, SPINNING) < limit && words[READY_MASK] === 0
    if (allowed) words[SPINNING] = wordAt(words, SPINNING) + 1
    unlock(words, LOCK)
    return allowed
  }

  endSpinning(): void {
    const words = this.#lock()
    words[SPINNING] = wordAt(words, SPINNING) - 1
    unlock(words, LOCK)
  }

  /**
   * Sleeps until the doorbell rings, unless a stream is ready. `mayStay` is asked after the caller counts as sleeping.
   * @returns whether the time, in milliseconds, ran out first
   */
  sleep(mayStay: () => boolean, time: number): boolean {
    const words = this.#lock()
    if (words[READY_MASK] !== 0) {
      unlock(words, LOCK)
      return false
    }
    const bell = Atomics.load(words, DOORBELL)
    const watches = this.#lacksWatcher()
    words[SLEEPING] = wordAt(words, SLEEPING) + 1
    if (watches) words[WATCHERS] = 1
    unlock(words, LOCK)
    let late = this.#rest(mayStay, bell, watches ? WATCH : time)
    if (watches) while (late && this.#looksInVain()) late = this.#rest(mayStay, bell, WATCH)
    words[SLEEPING] = wordAt(words, SLEEPING) - 1
    words[WAKING] = Math.max(0, wordAt(words, WAKING) - 1)
    if (watches) words[WATCHERS] = 0
    unlock(words, LOCK)
    return late && !watches
  }

  /** Watches the flat runs of a stream from now on: those that stand still are interrupted. */
  watchRuns(stream: number): void {
    if (this.#runs.has(stream)) return
    const words = this.#lock()
    this.#runs.add(stream)
    this.#unlockAndCall(words)
  }

  /** Returns once the current holder of the lock, if any, has unlocked it. */
  passLock(): void {
    unlock(this.#lock(), LOCK)
  }

  /** Wakes every sleeping worker. */
  wakeAll(): void {
    const words = this.#control.words
    Atomics.add(words, DOORBELL, 1)
    Atomics.notify(words, DOORBELL)
  }

  /** Counts a stream as idle. After the device was closed, the last one wakes the workers so that they end. */
  retire(): void {
    const words = this.#control.words
    const left = Atomics.sub(words, ACTIVE, 1) - 1
    if (left === 0 && Atomics.load(words, LIFE) !== 0) this.wakeAll()
  }

  /** Whether workers must end: the device is lost, or it was closed and all streams are idle. */
  isOver(): boolean {
    const words = this.#control.words
    const life = Atomics.load(words, LIFE)
    return life === LOST || (life === CLOSING && Atomics.load(words, ACTIVE) === 0)
  }

  /**
   * Makes a running stream wait for a position of another one; no worker is blocked meanwhile. `how`: the bits of a wait.
   * @returns false if the wait is over already: then the caller still has the stream
   */
  suspend(stream: number, other: number, high: number, low: number, how = 0): boolean {
    const words = this.#lock()
    const endsBroken = (how & ENDS_BROKEN) !== 0
    words[stream + AWAITED_HIGH] = high
    words[stream + AWAITED_LOW] = low
    // Set before progress is checked, so that a worker that makes progress later takes the lock.
    Atomics.or(words, other + WATCHED, STREAMS_WATCH)
    const waits = !hasProgressed(words, other, high, low) && !(endsBroken && Atomics.load(words, other + BROKEN) === 1)
    if (waits) {
      Atomics.store(words, stream + STATE, WAITING)
      addWaiter(words, other + (endsBroken ? ENDING_WAITERS : WAITERS), stream)
    } else {
      this.#unwatchIfAlone(other)
    }
    unlock(words, LOCK)
    return waits
  }

  /**
   * After progress of a watched stream: ends the waits that it fulfills.
   * @returns the woken stream of the highest level, for the caller to run, or 0. The others become ready.
   */
  settle(stream: number, high: number, low: number): number {
    const words = this.#lock()
    let first = 0
    for (let waiter = this.#takeOver(stream, high, low); waiter !== 0; waiter = this.#takeOver(stream, high, low)) {
      if (first === 0) {
        first = waiter
      } else if (wordAt(words, waiter + LEVEL) > wordAt(words, first + LEVEL)) {
        pushReady(words, first)
        first = waiter
      } else {
        pushReady(words, waiter)
      }
    }
    if (first !== 0) Atomics.store(words, first + STATE, RUNNING)
    this.#unwatchIfAlone(stream)
    this.#unlockAndCall(words)
    return first
  }

  /** The same, but all woken streams become ready, because the caller continues with its own. */
  release(stream: number, high: number, low: number): void {
    const words = this.#lock()
    for (let waiter = this.#takeOver(stream, high, low); waiter !== 0; waiter = this.#takeOver(stream, high, low)) {
      pushReady(words, waiter)
    }
    this.#unwatchIfAlone(stream)
    this.#unlockAndCall(words)
  }

  /** Removes a stream whose wait for another one is over, now that the other has reached a position. @returns 0 if none */
  #takeOver(other: number, high: number, low: number): number {
    const { words } = this.#control
    const waiter = wordAt(words, other + WAITERS)
    if (waiter !== 0 && isReached(words, waiter, high, low)) return takeFirstWaiter(words, other + WAITERS)
    const ending = wordAt(words, other + ENDING_WAITERS)
    if (ending === 0) return 0
    const isOver = isReached(words, ending, high, low) || Atomics.load(words, other + BROKEN) === 1
    return isOver ? takeFirstWaiter(words, other + ENDING_WAITERS) : 0
  }

  /** Stops watching a stream that no other waits for. */
  #unwatchIfAlone(stream: number): void {
    const { words } = this.#control
    if (words[stream + WAITERS] !== 0 || words[stream + ENDING_WAITERS] !== 0) return
    Atomics.and(words, stream + WATCHED, ~STREAMS_WATCH)
  }

  #lock(): Int32Array {
    lock(this.#control.words, LOCK, this.#whenLate)
    // Control blocks that were reserved lately may lie beyond this thread's view.
    if (wordAt(this.#control.words, EXTENT) > this.#control.words.length) this.#control.refresh()
    return this.#control.words
  }

  /** Unlocks, and wakes one more worker if there is work for it. */
  #unlockAndCall(words: Int32Array): void {
    const wake = this.#callWorker()
    unlock(words, LOCK)
    if (wake) Atomics.notify(words, DOORBELL, 1)
  }

  /** Decides, under the lock, whether to wake one more worker. If so, the caller must notify the doorbell. */
  #callWorker(): boolean {
    const words = this.#control.words
    const coming = wordAt(words, SPINNING) + wordAt(words, WAKING)
    const wanted = wordAt(words, READY_COUNT) + (this.#lacksWatcher() ? 1 : 0)
    if (wanted <= coming) return false
    if (wordAt(words, SLEEPING) <= wordAt(words, WAKING)) return false
    words[WAKING] = wordAt(words, WAKING) + 1
    Atomics.add(words, DOORBELL, 1)
    return true
  }

  #lacksWatcher(): boolean {
    const words = this.#control.words
    return !this.#runs.isEmpty() && words[WATCHERS] === 0
  }

  /** Sleeps, then locks. @returns whether the time ran out */
  #rest(mayStay: () => boolean, bell: number, time: number): boolean {
    const late = mayStay() && Atomics.wait(this.#control.words, DOORBELL, bell, time) === "timed-out"
    this.#lock()
    return late
  }

  /** Checks the flat runs. @returns true, having unlocked, if the watcher must sleep again because nothing is ready */
  #looksInVain(): boolean {
    this.#runs.look()
    const isInVain = !this.#runs.isEmpty() && this.#control.words[READY_MASK] === 0
    if (isInVain) unlock(this.#control.words, LOCK)
    return isInVain
  }
}

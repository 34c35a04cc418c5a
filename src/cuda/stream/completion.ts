/**
 * Reports the completion of events without blocking the event loop.
 *
 * A waiter is first polled in every iteration of the event loop, for {@link POLLING_WINDOW}. Most work ends in that time,
 * and its end is seen within microseconds. Then the waiter is polled between short sleeps ("naps") on Node's thread pool.
 * Naps get longer with the time waited ({@link NAP_SHARE}), up to what a thread needs to wake from an event: 85 to 240 µs
 * on an H100 host, whose idle cores wake slowly. After {@link NAPPING_WINDOW}, a timer polls every millisecond.
 *
 * No thread may block in `cuEventSynchronize` here. While another library captures in CUDA's global mode, that call
 * invalidates the capture unless the calling thread's mode is relaxed (measured on an H200, driver 580), and the mode of a
 * thread of Node's pool cannot be set.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { CudaContext } from "../api/context.js"
import { destroyEvent, DISABLE_TIMING, EventPool, hasPassed } from "./event-pool.js"
import { nap } from "../native/nap.js"
import { SUCCESS } from "../api/status.js"
import { clearTimeout, nextTick, now, setImmediate, setTimeout } from "../../common/timers.js"

/** How long a waiter is polled in every iteration of the event loop, in milliseconds. This takes a whole core. */
export const POLLING_WINDOW = 0.2

/** For how many milliseconds of waiting naps are used. They take about a fifth of a core. */
export const NAPPING_WINDOW = 100

/** A nap takes this share of the time waited so far, between these bounds in microseconds. */
const NAP_SHARE = 1 / 64
const LEAST_NAP = 40
const LONGEST_NAP = 200

/** The timer's interval in milliseconds. It also polls the napped waiters, in case every thread of the pool is busy. */
const INTERVAL = 1

type Settle = (error?: Error) => void

interface Waiter {
  /** The event that is queried: the caller's, or one of our pool. */
  asked: EventHandle
  /** Whether `asked` belongs to our pool. */
  owned: boolean
  /** The caller's event. */
  readonly event: EventHandle
  /** The stream on which the event was recorded, if known. */
  readonly stream: StreamHandle | undefined
  /** When the wait began. */
  readonly began: number
  readonly settle: Settle
}

/** The waiters of one device. */
export class Completions {
  readonly #context: CudaContext
  readonly #pool: EventPool
  /** Oldest first. */
  readonly #polled = new Set<Waiter>()
  readonly #napped = new Set<Waiter>()
  readonly #late = new Set<Waiter>()
  /** The waiters of each stream, oldest first: they settle in this order. */
  readonly #ofStream = new Map<StreamHandle, Set<Waiter>>()
  /** The waiters that query the caller's own event, by event. */
  readonly #ofEvent = new Map<EventHandle, Set<Waiter>>()
  /** Events to destroy when no waiter queries them any more. */
  readonly #toDestroy = new Set<EventHandle>()
  #pollScheduled = false
  #timer: NodeJS.Timeout | undefined
  #isNapping = false

  constructor(context: CudaContext) {
    this.#context = context
    this.#pool = new EventPool(context, DISABLE_TIMING)
    context.onLoss(() => this.#schedulePoll())
  }

  /** Whether there are waiters, which need the context. */
  get isBusy(): boolean {
    return this.#polled.size + this.#napped.size + this.#late.size > 0
  }

  /** See `DriverEvents.whenComplete`. */
  add(event: EventHandle, settle: Settle): () => void {
    const waiter = this.#bind(event, settle)
    this.#polled.add(waiter)
    this.#schedulePoll()
    return () => {
      if (this.#remove(waiter)) this.#unbind(waiter)
      if (this.#napped.size + this.#late.size === 0) this.#stopTimer()
    }
  }

  #bind(event: EventHandle, settle: Settle): Waiter {
    const context = this.#context
    const began = now()
    const stream = event === context.lastEvent ? context.lastStream : undefined
    if (!hasPassed(context, event) && stream !== undefined) {
      return this.#enlist({ asked: this.#pool.record(stream), owned: true, event, stream, began, settle })
    }
    const waiter = this.#enlist({ asked: event, owned: false, event, stream, began, settle })
    const others = this.#ofEvent.get(event)
    if (others === undefined) this.#ofEvent.set(event, new Set([waiter]))
    else others.add(waiter)
    context.askedEvents = this.#ofEvent.size
    return waiter
  }

  #enlist(waiter: Waiter): Waiter {
    const { stream } = waiter
    if (stream === undefined) return waiter
    const others = this.#ofStream.get(stream)
    if (others === undefined) this.#ofStream.set(stream, new Set([waiter]))
    else others.add(waiter)
    return waiter
  }

  /** @returns whether it was still waiting */
  #remove(waiter: Waiter): boolean {
    return [this.#polled, this.#napped, this.#late].some((waiters) => waiters.delete(waiter))
  }

  #unbind(waiter: Waiter): void {
    if (waiter.stream !== undefined) {
      const ofStream = this.#ofStream.get(waiter.stream)
      ofStream?.delete(waiter)
      if (ofStream?.size === 0) this.#ofStream.delete(waiter.stream)
    }
    if (waiter.owned) return this.#pool.release(waiter.asked)
    const others = this.#ofEvent.get(waiter.event)
    others?.delete(waiter)
    if (others?.size !== 0) return
    this.#forgetAsked(waiter.event)
    if (this.#toDestroy.delete(waiter.event)) destroyEvent(this.#context, waiter.event)
  }

  #forgetAsked(event: EventHandle): void {
    this.#ofEvent.delete(event)
    this.#context.askedEvents = this.#ofEvent.size
  }

  /** Whether a waiter queries this event itself, so that {@link beforeRecord} and {@link destroyWhenUnused} must be called. */
  isAsking(event: EventHandle): boolean {
    return this.#ofEvent.has(event)
  }

  /**
   * Keeps the waiters' point before their event is recorded again: a new stream waits for the event, and events of our pool
   * are recorded on it.
   */
  beforeRecord(
    event: EventHandle,
    createStream: () => StreamHandle,
    destroyStream: (stream: StreamHandle) => void,
  ): void {
    const waiters = this.#ofEvent.get(event)
    if (waiters === undefined) return
    const stream = createStream()
    try {
      const status = this.#context.calls.cuStreamWaitEvent(stream, event, 0)
      if (status !== SUCCESS) this.#context.retry(status, "cuStreamWaitEvent", stream, event, 0)
      this.#recordForEach(waiters, stream)
      this.#forgetAsked(event)
    } finally {
      destroyStream(stream)
    }
  }

  /** Records a pool event for each waiter: for all or, if that fails, for none. */
  #recordForEach(waiters: ReadonlySet<Waiter>, stream: StreamHandle): void {
    const recorded = new Map<Waiter, EventHandle>()
    try {
      for (const waiter of waiters) recorded.set(waiter, this.#pool.record(stream))
    } catch (error) {
      for (const event of recorded.values()) this.#pool.release(event)
      throw error
    }
    for (const [waiter, event] of recorded) {
      waiter.asked = event
      waiter.owned = true
    }
  }

  /** Destroys an event once no waiter queries it. */
  destroyWhenUnused(event: EventHandle): void {
    this.#toDestroy.add(event)
  }

  #schedulePoll(): void {
    if (this.#pollScheduled) return
    this.#pollScheduled = true
    setImmediate(() => {
      this.#pollScheduled = false
      this.#poll()
    })
  }

  #poll(): void {
    const settled: (() => void)[] = []
    this.#lookAt(this.#polled, settled, POLLING_WINDOW, this.#napped)
    if (this.#context.isLost) {
      this.#lookAt(this.#napped, settled)
      this.#lookAt(this.#late, settled)
    }
    if (this.#polled.size > 0) this.#schedulePoll()
    this.#startNap()
    this.#updateTimer()
    run(settled)
  }

  /** Polls waiters, and moves those that have waited longer than `window` to `others`. */
  #lookAt(waiters: Set<Waiter>, settled: (() => void)[], window = Infinity, others = waiters): void {
    const time = now()
    for (const waiter of waiters) {
      if (this.#look(waiter, settled)) {
        waiters.delete(waiter)
      } else if (time - waiter.began >= window) {
        waiters.delete(waiter)
        others.add(waiter)
      }
    }
  }

  #startNap(): void {
    if (this.#isNapping || this.#napped.size === 0) return
    const youngest = Math.max(...Array.from(this.#napped, ({ began }) => began))
    const share = Math.round((now() - youngest) * 1000 * NAP_SHARE)
    const microseconds = Math.min(Math.max(LEAST_NAP, share), LONGEST_NAP)
    this.#isNapping = nap(microseconds, () => this.#endNap())
    if (this.#isNapping) return
    for (const waiter of this.#napped) this.#late.add(waiter)
    this.#napped.clear()
  }

  #endNap(): void {
    this.#isNapping = false
    const settled: (() => void)[] = []
    this.#lookAt(this.#napped, settled, NAPPING_WINDOW, this.#late)
    this.#startNap()
    this.#updateTimer()
    run(settled)
  }

  /** @returns whether the event is complete or has failed; then the waiter is unbound, and its callback added to `settled` */
  #look(waiter: Waiter, settled: (() => void)[]): boolean {
    let failure: Error | undefined
    try {
      if (!hasPassed(this.#context, waiter.asked)) return false
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    this.#lookAtOlder(waiter, settled)
    settled.push(() => waiter.settle(failure))
    this.#unbind(waiter)
    return true
  }

  /** Older waiters of the stream are complete, too, and must settle first, even if they are polled less often. */
  #lookAtOlder(waiter: Waiter, settled: (() => void)[]): void {
    if (waiter.stream === undefined) return
    for (const older of this.#ofStream.get(waiter.stream) ?? []) {
      if (older === waiter) return
      if (this.#look(older, settled)) this.#remove(older)
    }
  }

  /** Runs the timer while waiters need it. */
  #updateTimer(): void {
    if (this.#napped.size + this.#late.size === 0) this.#stopTimer()
    else this.#timer ??= setTimeout(() => this.#wake(), INTERVAL)
  }

  #wake(): void {
    this.#stopTimer()
    const settled: (() => void)[] = []
    this.#lookAt(this.#napped, settled, NAPPING_WINDOW, this.#late)
    this.#lookAt(this.#late, settled)
    this.#updateTimer()
    run(settled)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Destroys the pool's events. There must be no waiters. */
  close(): void {
    this.#stopTimer()
    this.#pool.close()
  }
}

/** Calls all callbacks, even if one throws. */
function run(settled: readonly (() => void)[]): void {
  for (const settle of settled) {
    try {
      settle()
    } catch (error) {
      nextTick(() => {
        throw error
      })
    }
  }
}

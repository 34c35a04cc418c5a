/**
 * Learning of an event's completion without blocking the event loop.
 *
 * A waiter is first polled at every turn of the event loop, for {@link POLLING_WINDOW}: most work ends in that time, and
 * is then seen within microseconds. Then it is looked at in naps, the longer it has waited the longer ({@link NAP_SHARE}),
 * until they would take longer than a thread needs to wake from an event: on an H100 host, whose idle cores wake slowly,
 * an event's own wake-up took 85 to 240 µs.
 *
 * Whoever waits longer than {@link NAPPING_WINDOW} is looked at by a timer, each millisecond.
 *
 * No thread sleeps in `cuEventSynchronize` meanwhile. While another library captures a stream in CUDA's global mode, that
 * call spoils the capture unless its own thread's mode is relaxed (measured on an H200, driver 580), and nothing can set
 * the mode of the very thread of Node's pool that a call will run on.
 */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { CudaContext } from "../api/context.js"
import { destroyEvent, DISABLE_TIMING, EventPool, hasPassed } from "./events.js"
import { nap } from "../api/nap.js"
import { SUCCESS } from "../api/status.js"
import { clearTimeout, nextTick, now, setImmediate, setTimeout } from "../../common/timers.js"

/** How long a waiter is polled at every turn of the event loop, in milliseconds. It costs a core for that long. */
export const POLLING_WINDOW = 0.2

/** How long a waiter is looked at in naps, in milliseconds. It costs about a fifth of a core for that long. */
export const NAPPING_WINDOW = 100

/** A nap takes this share of the time waited so far, within these bounds in microseconds. */
const NAP_SHARE = 1 / 64
const LEAST_NAP = 40
const LONGEST_NAP = 200

/** How often the timer looks at all that wait, in milliseconds: at the others, too, should every thread be busy. */
const INTERVAL = 1

type Settle = (error?: Error) => void

interface Waiter {
  /** The event that is asked. Another one once `event` is recorded again. */
  asked: EventHandle
  /** Is `asked` from our pool, so that it goes back there? */
  owned: boolean
  /** The caller's event, while it is what is asked. */
  readonly event: EventHandle
  /** The stream whose end so far is waited for, where that is known. */
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
  /** Those of each stream, oldest first: they settle in this order. */
  readonly #ofStream = new Map<StreamHandle, Set<Waiter>>()
  /** Waiters that ask the caller's own event, by it. */
  readonly #ofEvent = new Map<EventHandle, Set<Waiter>>()
  /** Events that were destroyed while a waiter asked them. */
  readonly #toDestroy = new Set<EventHandle>()
  #pollScheduled = false
  #timer: NodeJS.Timeout | undefined
  #isNapping = false

  constructor(context: CudaContext) {
    this.#context = context
    this.#pool = new EventPool(context, DISABLE_TIMING)
    context.onLoss(() => this.#schedulePoll())
  }

  /** Is anyone waiting? The context must live as long. */
  get isBusy(): boolean {
    return this.#polled.size + this.#napped.size + this.#late.size > 0
  }

  /** See `Driver.whenComplete`. */
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

  /** Was it still waiting? */
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

  /** Does a waiter ask this event itself? Then {@link beforeRecord} and {@link destroyWhenUnused} have something to do. */
  isAsking(event: EventHandle): boolean {
    return this.#ofEvent.has(event)
  }

  /**
   * Keeps waiters at the point that an event marks before it is recorded again: a stream of its own waits for that
   * point and records an event of ours behind it.
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

  /** Records an event of ours for each waiter: for all or, if that fails, for none. */
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

  /** Destroys an event once nobody asks it. */
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

  /** Looks at waiters. Those that have waited for so long are others' to look at from now on. */
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

  /** Is the waiter's point passed, or the device lost? Then it is unbound, and its settling added. */
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

  /** Older waiters of its stream are over, too, and settle first, though it is not yet their turn to be looked at. */
  #lookAtOlder(waiter: Waiter, settled: (() => void)[]): void {
    if (waiter.stream === undefined) return
    for (const older of this.#ofStream.get(waiter.stream) ?? []) {
      if (older === waiter) return
      if (this.#look(older, settled)) this.#remove(older)
    }
  }

  /** Goes on looking. */
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

  /** Destroys the events of the pool. Nothing waits any more. */
  close(): void {
    this.#stopTimer()
    this.#pool.close()
  }
}

/** Calls all, even if one throws. */
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

import type { ControlMemory } from "../control/control.js"
import {
  HOST_HIGH,
  HOST_LISTED,
  HOST_LOW,
  HOST_NEXT,
  HOST_PASSED,
  HOST_WATCHES,
  SIGNAL,
  WATCHED,
  highWord,
  wordAt,
} from "../control/layout.js"
import type { Failures } from "../queue/failures.js"
import type { KeepAlive } from "../control/keep-alive.js"
import type { Loss } from "../control/loss.js"
import { PendingHeap, type Waiting } from "./pending-heap.js"
import { LONG_PATIENCE, Spinner } from "../control/spin.js"
import type { HostStream, StreamSlot } from "../queue/stream.js"
import { microtask, nextTick } from "../../common/timers.js"

/** How long the blocked thread sleeps before it checks whether the workers are alive, in milliseconds. */
const SLICE = 50

interface Pending extends Waiting {
  readonly stream: HostStream
  settle: ((error?: Error) => void) | undefined
}

/** `Atomics.waitAsync`, which TypeScript declares for ES2024 only. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<string> }

const { waitAsync } = Atomics as typeof Atomics & { readonly waitAsync: WaitAsync }

/**
 * How the opening thread learns that a stream has passed a position. A stream's control block holds the next position
 * that this thread watches. The worker that passes it increments {@link SIGNAL}, one word for the whole device, and wakes
 * the code that waits on it: this thread in a blocking call, or one `Atomics.waitAsync` for all pending callbacks.
 */
export class Completion {
  /** The pending callbacks of each slot that has any. */
  readonly #pending = new Map<StreamSlot, PendingHeap<Pending>>()
  /** The same slots, by control block. */
  readonly #slots = new Map<number, StreamSlot>()
  #turn = 0
  readonly #spinner: Spinner
  #armed = false
  #stopped = false
  readonly #control: ControlMemory
  readonly #keepAlive: KeepAlive
  readonly #failures: Failures
  readonly #loss: Loss

  constructor(control: ControlMemory, keepAlive: KeepAlive, failures: Failures, loss: Loss, cores: number) {
    this.#control = control
    this.#keepAlive = keepAlive
    this.#failures = failures
    this.#loss = loss
    this.#spinner = cores > 2 ? new Spinner(LONG_PATIENCE) : new Spinner()
  }

  /** Blocks until a stream has passed a position. @throws DeviceLostError */
  block(stream: HostStream, position: number): void {
    const { slot } = stream
    if (slot.hasPassed(position) || this.#spinner.spin(() => slot.hasPassed(position))) return
    for (;;) {
      const { words } = this.#control
      const seen = Atomics.load(words, SIGNAL)
      this.#watch(slot, Math.min(position, this.#pending.get(slot)?.first?.position ?? Infinity))
      if (slot.hasPassed(position)) break
      const late = Atomics.wait(words, SIGNAL, seen, SLICE) === "timed-out"
      if (slot.hasPassed(position)) break
      const loss = late ? this.#loss.find() : undefined
      if (loss !== undefined) throw loss
    }
    // The signal that ended this wait may also have been meant for pending callbacks.
    this.#rewatch(slot)
  }

  /**
   * Calls `settle` once a stream has passed a position. Callbacks of a stream run in the order of their positions, even if
   * a position has been passed already. @returns a function that detaches the callback
   */
  add(stream: HostStream, position: number, settle: (error?: Error) => void): () => void {
    const entry: Pending = { stream, position, settle, turn: ++this.#turn, place: -1 }
    if (stream.hasPassed(position) && !this.#pending.has(stream.slot)) microtask(() => this.#settle(entry))
    else this.#insert(stream.slot, entry)
    return () => this.#detach(entry)
  }

  /** The same for a point that has been passed already. */
  addPassed(settle: (error?: Error) => void): () => void {
    let attached = true
    microtask(() => {
      if (attached) settle()
    })
    return () => (attached = false)
  }

  /** Calls back for all passed positions. Only the streams that workers have listed can have any. */
  pump(): void {
    const { words } = this.#control
    let block = Atomics.exchange(words, HOST_PASSED, 0)
    while (block !== 0) {
      const next = wordAt(words, block + HOST_NEXT)
      // From here on workers list it again. The check that follows sees all earlier progress.
      Atomics.store(words, block + HOST_LISTED, 0)
      const slot = this.#slots.get(block)
      if (slot !== undefined) this.#pumpSlot(slot)
      block = next
    }
    this.#stopIfDone()
  }

  /** Calls back everything pending with an error. */
  failAll(error: Error): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    this.#slots.clear()
    for (const heap of all) {
      for (let entry = heap.first; entry !== undefined; entry = heap.first) {
        heap.remove(entry)
        this.#keepAlive.release()
        this.#call(entry, error)
      }
    }
  }

  /** Releases the timer and the wait once nothing is pending. */
  stop(): void {
    this.#stopped = true
    this.#stopIfDone()
  }

  #insert(slot: StreamSlot, entry: Pending): void {
    const heap = this.#heapOf(slot)
    heap.add(entry)
    this.#keepAlive.hold()
    if (heap.first === entry) this.#watch(slot, entry.position)
    this.#arm()
    if (slot.hasPassed(entry.position)) microtask(() => this.#check(slot))
  }

  #heapOf(slot: StreamSlot): PendingHeap<Pending> {
    const known = this.#pending.get(slot)
    if (known !== undefined) return known
    const heap = new PendingHeap<Pending>()
    this.#pending.set(slot, heap)
    this.#slots.set(slot.block, slot)
    return heap
  }

  #check(slot: StreamSlot): void {
    this.#pumpSlot(slot)
    this.#stopIfDone()
  }

  #pumpSlot(slot: StreamSlot): void {
    const heap = this.#pending.get(slot)
    if (heap === undefined) return
    let next = this.#settlePassed(slot, heap)
    while (next !== undefined) {
      this.#watch(slot, next.position)
      // A position that was passed before the watch was set sends no signal.
      if (!slot.hasPassed(next.position)) return
      next = this.#settlePassed(slot, heap)
    }
  }

  /** @returns the first callback whose position has not been passed */
  #settlePassed(slot: StreamSlot, heap: PendingHeap<Pending>): Pending | undefined {
    const passed: Pending[] = []
    for (let first = heap.first; first !== undefined && slot.hasPassed(first.position); first = heap.first) {
      heap.remove(first)
      passed.push(first)
    }
    this.#forgetIfEmpty(slot, heap)
    for (const entry of passed) {
      this.#keepAlive.release()
      this.#settle(entry)
    }
    return heap.first
  }

  #forgetIfEmpty(slot: StreamSlot, heap: PendingHeap<Pending>): void {
    if (heap.first !== undefined) return
    this.#pending.delete(slot)
    this.#slots.delete(slot.block)
  }

  #detach(entry: Pending): void {
    if (entry.settle === undefined) return
    entry.settle = undefined
    const { slot } = entry.stream
    const heap = this.#pending.get(slot)
    if (heap === undefined || entry.place < 0) return
    heap.remove(entry)
    this.#forgetIfEmpty(slot, heap)
    this.#keepAlive.release()
    this.#stopIfDone()
  }

  #settle(entry: Pending): void {
    this.#call(entry, this.#failures.before(entry.stream, entry.position))
  }

  #call(entry: Pending, error: Error | undefined): void {
    const { settle } = entry
    entry.settle = undefined
    if (settle === undefined) return
    try {
      settle(error)
    } catch (thrown) {
      // The other callbacks must still run.
      nextTick(() => {
        throw thrown
      })
    }
  }

  #rewatch(slot: StreamSlot): void {
    const first = this.#pending.get(slot)?.first
    if (first === undefined) return
    this.#watch(slot, first.position)
    if (slot.hasPassed(first.position)) microtask(() => this.#check(slot))
  }

  /** Watches a position. Callers check it again afterwards, because a worker may pass it before the watch is set. */
  #watch(slot: StreamSlot, position: number): void {
    const { words } = this.#control
    const { block } = slot
    Atomics.and(words, block + WATCHED, ~HOST_WATCHES)
    Atomics.store(words, block + HOST_LOW, position | 0)
    Atomics.store(words, block + HOST_HIGH, highWord(position))
    Atomics.or(words, block + WATCHED, HOST_WATCHES)
  }

  #arm(): void {
    if (this.#armed) return
    const { words } = this.#control
    const wait = waitAsync(words, SIGNAL, Atomics.load(words, SIGNAL))
    this.#armed = true
    if (wait.async) void wait.value.then(() => this.#wake())
    else microtask(() => this.#wake())
  }

  #wake(): void {
    this.#armed = false
    // Armed again before the check, or a signal between the two would be lost.
    if (this.#pending.size > 0) this.#arm()
    this.pump()
  }

  #stopIfDone(): void {
    if (!this.#stopped || this.#pending.size > 0) return
    this.#keepAlive.stop()
    if (!this.#armed) return
    // A waitAsync that never ends would keep the control memory alive.
    const { words } = this.#control
    Atomics.add(words, SIGNAL, 1)
    Atomics.notify(words, SIGNAL)
  }
}

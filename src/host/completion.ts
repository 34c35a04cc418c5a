import type { ControlMemory } from "./control.js"
import { HOST_HIGH, HOST_LOW, HOST_WATCHES, SIGNAL, WATCHED, highWord } from "./layout.js"
import type { KeepAlive } from "./keep-alive.js"
import { Spinner } from "./spin.js"
import type { HostStream, StreamSlot } from "./stream.js"
import { microtask, nextTick } from "../timers.js"

/** How long the thread sleeps before it looks whether the workers are still alive, in milliseconds. */
const SLICE = 50

interface Pending {
  readonly stream: HostStream
  readonly position: number
  settle: ((error?: Error) => void) | undefined
}

/** `Atomics.waitAsync`, which TypeScript declares for ES2024 only. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<string> }

const { waitAsync } = Atomics as typeof Atomics & { readonly waitAsync: WaitAsync }

/** What the completions ask of their device. */
export interface CompletionHost {
  /** What `queryEvent` would throw for that point, which has been passed. */
  failure(stream: HostStream, position: number): Error | undefined
  /** Notices a worker that has died; gives the loss if there is one. */
  findLoss(): Error | undefined
}

/**
 * How the opening thread learns that a stream has come somewhere. A stream's control block holds the next position that
 * somebody here waits for; the worker that passes it counts up one word for the whole device and wakes whoever sleeps
 * on it: this thread in a blocking call, or one `Atomics.waitAsync` for everything pending.
 */
export class Completion {
  /** Of each slot with something pending: in the order of their positions. */
  private readonly pending = new Map<StreamSlot, Pending[]>()
  private readonly spinner = new Spinner()
  private armed = false
  private stopped = false

  constructor(
    private readonly control: ControlMemory,
    private readonly keepAlive: KeepAlive,
    private readonly host: CompletionHost,
  ) {}

  /** Blocks until a stream has passed a position. @throws DeviceLostError */
  block(stream: HostStream, position: number): void {
    const { slot } = stream
    if (slot.hasPassed(position) || this.spinner.spin(() => slot.hasPassed(position))) return
    for (;;) {
      const { words } = this.control
      const seen = Atomics.load(words, SIGNAL)
      this.watch(slot, Math.min(position, this.pending.get(slot)?.[0]?.position ?? Infinity))
      if (slot.hasPassed(position)) break
      const late = Atomics.wait(words, SIGNAL, seen, SLICE) === "timed-out"
      if (slot.hasPassed(position)) break
      const loss = late ? this.host.findLoss() : undefined
      if (loss !== undefined) throw loss
    }
    // The signal that came here may have been one for the pending ones, too.
    this.rewatch(slot)
  }

  /**
   * Calls back once a stream has passed a position: in the order of the positions, so a position that has been passed
   * already still comes behind earlier ones whose callbacks are pending. @returns what detaches the callback
   */
  add(stream: HostStream, position: number, settle: (error?: Error) => void): () => void {
    const entry: Pending = { stream, position, settle }
    if (stream.hasPassed(position) && !this.pending.has(stream.slot)) microtask(() => this.settle(entry))
    else this.insert(stream.slot, entry)
    return () => this.detach(entry)
  }

  /** The same for something that holds nothing up. */
  addPassed(settle: (error?: Error) => void): () => void {
    let attached = true
    microtask(() => {
      if (attached) settle()
    })
    return () => (attached = false)
  }

  /** Settles whatever has come true. */
  pump(): void {
    for (const slot of this.pending.keys()) this.pumpSlot(slot)
    this.stopIfDone()
  }

  /** Calls everything pending back with an error. */
  failAll(error: Error): void {
    const all = [...this.pending.values()].flat()
    this.pending.clear()
    for (const entry of all) {
      this.keepAlive.release()
      this.call(entry, error)
    }
  }

  /** Lets go of everything once nothing is pending. */
  stop(): void {
    this.stopped = true
    this.stopIfDone()
  }

  private insert(slot: StreamSlot, entry: Pending): void {
    let list = this.pending.get(slot)
    if (list === undefined) {
      list = []
      this.pending.set(slot, list)
    }
    let index = list.length
    while (index > 0 && (list[index - 1]?.position ?? 0) > entry.position) index--
    list.splice(index, 0, entry)
    this.keepAlive.hold()
    if (index === 0) this.watch(slot, entry.position)
    this.arm()
    if (slot.hasPassed(entry.position)) microtask(() => this.pump())
  }

  private pumpSlot(slot: StreamSlot): void {
    for (;;) {
      const list = this.pending.get(slot)
      if (list === undefined) return
      let count = 0
      while (count < list.length && slot.hasPassed(list[count]?.position ?? Infinity)) count++
      const passed = list.splice(0, count)
      const next = list[0]
      if (next === undefined) this.pending.delete(slot)
      else this.watch(slot, next.position)
      for (const entry of passed) {
        this.keepAlive.release()
        this.settle(entry)
      }
      // Whatever was passed before the watch was set has sent no signal.
      if (next === undefined || !slot.hasPassed(next.position)) return
    }
  }

  private detach(entry: Pending): void {
    if (entry.settle === undefined) return
    entry.settle = undefined
    const { slot } = entry.stream
    const list = this.pending.get(slot)
    const index = list?.indexOf(entry) ?? -1
    if (list === undefined || index < 0) return
    list.splice(index, 1)
    if (list.length === 0) this.pending.delete(slot)
    this.keepAlive.release()
    this.stopIfDone()
  }

  private settle(entry: Pending): void {
    this.call(entry, this.host.failure(entry.stream, entry.position))
  }

  private call(entry: Pending, error: Error | undefined): void {
    const { settle } = entry
    entry.settle = undefined
    if (settle === undefined) return
    try {
      settle(error)
    } catch (thrown) {
      // One callback's own failure is no reason to leave out the others.
      nextTick(() => {
        throw thrown
      })
    }
  }

  private rewatch(slot: StreamSlot): void {
    const first = this.pending.get(slot)?.[0]
    if (first === undefined) return
    this.watch(slot, first.position)
    if (slot.hasPassed(first.position)) microtask(() => this.pump())
  }

  /** The order makes it safe: who passes the position meanwhile is seen by the look that follows each call. */
  private watch(slot: StreamSlot, position: number): void {
    const { words } = this.control
    const { block } = slot
    Atomics.and(words, block + WATCHED, ~HOST_WATCHES)
    Atomics.store(words, block + HOST_LOW, position | 0)
    Atomics.store(words, block + HOST_HIGH, highWord(position))
    Atomics.or(words, block + WATCHED, HOST_WATCHES)
  }

  private arm(): void {
    if (this.armed) return
    const { words } = this.control
    const wait = waitAsync(words, SIGNAL, Atomics.load(words, SIGNAL))
    this.armed = true
    if (wait.async) void wait.value.then(() => this.wake())
    else microtask(() => this.wake())
  }

  private wake(): void {
    this.armed = false
    // Armed again before the look, or what is signalled between the two would be lost.
    if (this.pending.size > 0) this.arm()
    this.pump()
  }

  private stopIfDone(): void {
    if (!this.stopped || this.pending.size > 0) return
    this.keepAlive.stop()
    if (!this.armed) return
    // A waitAsync that never ends would keep the control memory.
    const { words } = this.control
    Atomics.add(words, SIGNAL, 1)
    Atomics.notify(words, SIGNAL)
  }
}

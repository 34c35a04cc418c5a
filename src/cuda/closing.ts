/**
 * Closing a device without blocking: its context must live until the last of its work is over, and pinned memory for as
 * long as JavaScript can reach it. The wait does not keep the process alive: at its end the driver clears up itself.
 */
import { isMainThread } from "node:worker_threads"
import type { Completions } from "./stream/completion.js"
import type { CudaContext } from "./api/context.js"
import { leave } from "./leftovers.js"
import type { Kernels } from "./kernel/kernels.js"
import type { DeviceMemory } from "./memory/device-memory.js"
import type { PinnedMemoryOwner } from "./memory/pinned.js"
import type { Streams } from "./stream/streams.js"
import { setTimeout } from "../common/timers.js"
import { warn } from "../common/warn.js"

const FIRST_PAUSE = 1
const LONGEST_PAUSE = 64
/** So many failures in a row, in a quarter of a second, and the end of the work is taken to be out of sight. */
const MOST_FAILURES = 8

/** The devices that are not gone yet. */
const pending = new Set<Closing>()

/** Blocks until devices that are being closed have given back their memory, so that another one can have it. */
export function drainClosing(): void {
  for (const closing of pending) {
    try {
      closing.drain()
    } catch {
      // What cannot be told of one device is no failure of another one's.
    }
  }
}

/** What is closed. */
export interface ClosingParts {
  readonly context: CudaContext
  readonly streams: Streams
  readonly completions: Completions
  readonly kernels: Kernels
  readonly memory: DeviceMemory
  readonly pinned: PinnedMemoryOwner
  /** Gives back all but pinned memory and the context. */
  readonly release: () => void
  /** Gives back the pinned memory. */
  readonly releasePinned: () => void
}

/** A device on its way out. */
export class Closing {
  readonly #parts: ClosingParts
  #pause = FIRST_PAUSE
  /** In a row. */
  #failures: unknown[] = []

  constructor(parts: ClosingParts) {
    this.#parts = parts
  }

  /** `unseen`: why there may be work whose end the driver does not see. */
  begin(unseen: unknown): void {
    pending.add(this)
    this.#parts.streams.destroyAll()
    if (unseen === undefined || this.#parts.context.isLost) this.#step()
    else this.#giveUp(unseen)
  }

  /**
   * Blocks until the work is over, and gives back the device memory: unless another library captures a stream of it.
   *
   * @throws DeviceLostError, CudaError
   */
  drain(): void {
    const { context, memory, streams } = this.#parts
    if (context.isLost || !streams.synchronizeEnded()) return
    memory.freeAll()
    streams.destroyAll()
    streams.synchronizeEnded()
    memory.trim()
  }

  #step(): void {
    if (this.#failures.length >= MOST_FAILURES) this.#giveUp(this.#failures[0])
    else if (this.#isDone()) this.#finish()
    else this.#again()
  }

  #isDone(): boolean {
    const { completions, context, kernels } = this.#parts
    if (completions.isBusy || kernels.isBusy) return false
    try {
      const isDone = context.isLost || this.#freeWhatIsOver()
      this.#failures = []
      return isDone
    } catch (error) {
      this.#failures.push(error)
      return context.isLost
    }
  }

  /** Returns whether nothing is left. */
  #freeWhatIsOver(): boolean {
    const { memory, streams } = this.#parts
    if (!streams.forgetEnded()) return false
    if (memory.isEmpty) return true
    // Behind all work, so any stream will do; its own end has to be reached, too.
    memory.freeAll()
    streams.destroyAll()
    return false
  }

  #again(): void {
    const timer = setTimeout(() => this.#step(), this.#pause)
    // The process may end meanwhile, as that gives back everything. A Worker's end does not, but another library may
    // have its reasons never to end a capture.
    const hasOnlyCaptured = this.#failures.length === 0 && this.#parts.streams.onlyCapturedRemain
    if (isMainThread || hasOnlyCaptured) timer.unref()
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
  }

  /** Memory that is in use must not be given back, so all of it stays. */
  #giveUp(reason: unknown): void {
    pending.delete(this)
    const { context } = this.#parts
    context.holding.clear()
    warn(
      "AUX_LEAK",
      `${context.label} was closed, and its memory stays until the process ends: work may be going on there whose end ` +
        `cannot be seen. ${String(reason)}`,
    )
  }

  #finish(): void {
    const { context, pinned, release, releasePinned } = this.#parts
    pending.delete(this)
    release()
    pinned.close(() => {
      try {
        releasePinned()
      } catch (error) {
        this.#warn(error)
      }
      leave(context)
    })
  }

  #warn(error: unknown): void {
    warn("AUX_LEAK", `${this.#parts.context.label} was not closed cleanly. ${String(error)}`)
  }
}

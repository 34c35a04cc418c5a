/**
 * Closes a device without blocking. Its context must live until its work is over, and its pinned memory for as long as
 * JavaScript can reach it. Closing must never keep the process alive: when the process ends, the driver frees everything.
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
/** After this many consecutive failures, about a quarter of a second, stop waiting and leak. */
const MOST_FAILURES = 8

/** The devices that are being closed. */
const pending = new Set<Closing>()

/** Blocks until the devices that are being closed have freed their memory, so that another device can use it. */
export function drainClosing(): void {
  for (const closing of pending) {
    try {
      closing.drain()
    } catch {
      // A failure of one device must not fail another one's allocation.
    }
  }
}

/** The parts of a device that closing needs. */
export interface ClosingParts {
  readonly context: CudaContext
  readonly streams: Streams
  readonly completions: Completions
  readonly kernels: Kernels
  readonly memory: DeviceMemory
  readonly pinned: PinnedMemoryOwner
  /** Releases everything except pinned memory and the context. */
  readonly release: () => void
  /** Releases the pinned memory. */
  readonly releasePinned: () => void
}

/** A device that is being closed. */
export class Closing {
  readonly #parts: ClosingParts
  #pause = FIRST_PAUSE
  /** Consecutive failures. */
  #failures: unknown[] = []

  constructor(parts: ClosingParts) {
    this.#parts = parts
  }

  /** `unseen`: why there may be work whose end we cannot see. */
  begin(unseen: unknown): void {
    pending.add(this)
    this.#parts.streams.destroyAll()
    if (unseen === undefined || this.#parts.context.isLost) this.#step()
    else this.#giveUp(unseen)
  }

  /**
   * Blocks until the work is over, then frees the device memory, unless another library is capturing one of its streams.
   *
   * @throws DeviceLostError, CudaError
   */
  drain(): void {
    const { context, memory, streams } = this.#parts
    if (context.isLost || !streams.ends.synchronize()) return
    memory.freeAll()
    streams.destroyAll()
    streams.ends.synchronize()
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

  /** @returns whether nothing is left */
  #freeWhatIsOver(): boolean {
    const { memory, streams } = this.#parts
    if (!streams.ends.forgetReached()) return false
    if (memory.isEmpty) return true
    // All work is over, so any stream will do. The end of that stream must be reached, too.
    memory.freeAll()
    streams.destroyAll()
    return false
  }

  #again(): void {
    const timer = setTimeout(() => this.#step(), this.#pause)
    // The process may end meanwhile, which frees everything. The end of a Worker frees nothing, so a Worker must wait, except
    // for foreign captures, which may never end.
    const hasOnlyCaptured = this.#failures.length === 0 && this.#parts.streams.ends.onlyCapturedRemain
    if (isMainThread || hasOnlyCaptured) timer.unref()
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
  }

  /** Memory that may be in use must not be freed, so all of it is leaked. */
  #giveUp(reason: unknown): void {
    pending.delete(this)
    const { context } = this.#parts
    context.holding.clear()
    warn(
      "AUX_LEAK",
      `${context.label} was closed, and its memory stays until the process ends, because work whose end auxstream cannot see ` +
        `may still use it. ${String(reason)}`,
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

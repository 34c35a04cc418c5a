/**
 * Waiting, with patience that ends, until nothing is known to run on the device.
 *
 * Some calls make CUDA wait for all that runs in the context, and hold up the calls of every other thread meanwhile:
 * loading a kernel, making room for local memory, cuBLAS' first use of a kernel, destroying a graph with conditionals
 * (measured on an H200, driver 580; on another thread they stop this one, too). Work that this thread would release, as a
 * kernel that spins on a flag, would then stop it for ever. So such a call is made only when nothing is known to run.
 *
 * Known is what was queued through this library. Work of other libraries on streams of their own is not: where CUDA waits
 * for that, the thread waits, too.
 */
import { AuxstreamError } from "../../common/errors.js"
import { now, sleep } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import type { Marks, Neighbours } from "./neighbours.js"
import type { Streams } from "../stream/streams.js"

/** How long a call that needs a quiet device waits for it, in milliseconds. */
const PATIENCE = 5000

/**
 * A program that keeps the device busy never lets it be quiet by itself. So who waits off the event loop holds that up now
 * and then, for so long at most: this thread queues nothing meanwhile, and most work ends. In milliseconds.
 */
const ATTEMPT = 20
const BETWEEN_ATTEMPTS = 500

/** A place to sleep at: nobody ever wakes a sleeper there. */
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** What a call needs a quiet device for, and what to do instead: two parts of a sentence. */
export interface Need {
  readonly what: string
  readonly advice: string
}

/** Whether one device has anything to do. */
export class Quiet {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #neighbours: Neighbours

  constructor(context: CudaContext, streams: Streams, neighbours: Neighbours) {
    this.#context = context
    this.#streams = streams
    this.#neighbours = neighbours
  }

  /** Blocks for so many milliseconds at most. Returns whether nothing runs. @throws DeviceLostError */
  within(milliseconds: number): boolean {
    return this.#blockFor(milliseconds, () => this.#streams.areIdle() && this.#neighbours.areIdle())
  }

  #blockFor(milliseconds: number, isQuiet: () => boolean): boolean {
    const deadline = now() + milliseconds
    while (!isQuiet()) {
      if (now() >= deadline) return false
      Atomics.wait(NEVER, 0, 0, 1)
    }
    return true
  }

  /**
   * Calls `act` once nothing runs. Blocks until then. Other threads may go on queueing: of theirs, what they have queued by
   * now is waited for.
   *
   * @throws AuxstreamError AUX_NOT_READY
   */
  block<T>(need: Need, act: () => T): T {
    const theirs = this.#neighbours.mark()
    try {
      if (this.#blockFor(PATIENCE, () => this.#isQuietBut(theirs))) return act()
    } finally {
      theirs.forget()
    }
    throw this.#outOfPatience(need)
  }

  #isQuietBut(theirs: Marks): boolean {
    return this.#streams.areIdle() && theirs.areOver()
  }

  /** The same off the event loop: `act` is called when nothing runs, before anything else can be queued. */
  async wait<T>(need: Need, act: () => T): Promise<T> {
    const theirs = this.#neighbours.mark()
    try {
      const deadline = now() + PATIENCE
      let attempt = now() + BETWEEN_ATTEMPTS
      while (!this.#isQuietBut(theirs)) {
        if (now() > attempt) {
          if (this.#blockFor(ATTEMPT, () => this.#isQuietBut(theirs))) break
          attempt = now() + BETWEEN_ATTEMPTS
        }
        if (now() > deadline) throw this.#outOfPatience(need)
        await sleep(1)
      }
      return act()
    } finally {
      theirs.forget()
    }
  }

  #outOfPatience({ what, advice }: Need): AuxstreamError {
    return new AuxstreamError(
      "AUX_NOT_READY",
      `${what} now: CUDA does that only while nothing runs on ${this.#context.label}, and what was queued before has not ` +
        `ended within ${PATIENCE / 1000} s. ${advice}`,
    )
  }
}

/**
 * Waits, up to a time limit, until the device is known to be idle.
 *
 * CUDA makes some calls only while the context is idle: loading a kernel, growing local memory, cuBLAS' first use of a
 * kernel, destroying a graph with conditionals. Until then it blocks the CUDA calls of all threads (measured on an H200,
 * driver 580). If the running work depends on this thread, such as a kernel that spins on a flag, that is a deadlock. So
 * such a call must never be made before the device is known to be idle.
 *
 * Only work queued through this library is known. Other libraries' streams are not, so CUDA may still wait for these.
 */
import { AuxstreamError } from "../../common/errors.js"
import { now, sleep } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import type { Marks, Neighbours } from "./neighbours.js"
import type { Streams } from "../stream/streams.js"

/** How long a call waits for an idle device, in milliseconds. */
const PATIENCE = 5000

/**
 * A program that always queues more work never leaves the device idle. So an asynchronous wait blocks the event loop now
 * and then, for at most this many milliseconds. The thread queues nothing during that time, and most work ends.
 */
const ATTEMPT = 20
const BETWEEN_ATTEMPTS = 500

/** An address to sleep on, which is never notified. */
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** Two parts of an error's text: what needs an idle device, and what to do instead. */
export interface Need {
  readonly what: string
  readonly advice: string
}

/** Waits until one device is idle. */
export class Quiet {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #neighbours: Neighbours

  constructor(context: CudaContext, streams: Streams, neighbours: Neighbours) {
    this.#context = context
    this.#streams = streams
    this.#neighbours = neighbours
  }

  /** Blocks for at most so many milliseconds. @returns whether the device is idle @throws DeviceLostError */
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
   * Blocks until the device is idle, then calls `act`. Other threads may go on queueing, so only what they have queued by now
   * counts.
   *
   * @throws AuxstreamError AUX_NOT_READY
   */
  block<T>(need: Need, act: () => T): T {
    const foreign = this.#neighbours.mark()
    try {
      if (this.#blockFor(PATIENCE, () => this.#isQuietBut(foreign))) return act()
    } finally {
      foreign.forget()
    }
    throw this.#outOfPatience(need)
  }

  #isQuietBut(foreign: Marks): boolean {
    return this.#streams.areIdle() && foreign.areOver()
  }

  /** Like {@link block}, without blocking the event loop. `act` is called before this thread can queue anything else. */
  async wait<T>(need: Need, act: () => T): Promise<T> {
    const foreign = this.#neighbours.mark()
    try {
      const deadline = now() + PATIENCE
      let attempt = now() + BETWEEN_ATTEMPTS
      while (!this.#isQuietBut(foreign)) {
        if (now() > attempt) {
          if (this.#blockFor(ATTEMPT, () => this.#isQuietBut(foreign))) break
          attempt = now() + BETWEEN_ATTEMPTS
        }
        if (now() > deadline) throw this.#outOfPatience(need)
        await sleep(1)
      }
      return act()
    } finally {
      foreign.forget()
    }
  }

  #outOfPatience({ what, advice }: Need): AuxstreamError {
    return new AuxstreamError(
      "AUX_NOT_READY",
      `${what} now: CUDA does this only while ${this.#context.label} is idle, and the work queued before did not end ` +
        `within ${PATIENCE / 1000} s. ${advice}`,
    )
  }
}

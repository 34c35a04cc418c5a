/**
 * Unloads CUPTI from the process after a trace, so that launches cost what they did before. NVIDIA asks that nothing runs then, and
 * that no thread is in a CUDA call. So CUPTI stays until nothing of this library runs on any device, and no other thread has a
 * device open. What another library does on threads of its own cannot be known.
 */
import { setTimeout } from "../../common/timers.js"
import { ledger } from "../ledger/ledger.js"
import { isEverythingIdle } from "../sharing/open-contexts.js"
import type { CuptiBuffers } from "./buffers.js"
import type { CuptiLibrary } from "./cupti.js"

/** Milliseconds between two attempts: at first, and at most. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 5000

/** One attempt after another, until one succeeds or CUPTI is used again. */
export class Detachment {
  readonly #cupti: CuptiLibrary
  readonly #buffers: CuptiBuffers
  #pause = FIRST_PAUSE
  #isOver = false

  constructor(cupti: CuptiLibrary, buffers: CuptiBuffers) {
    this.#cupti = cupti
    this.#buffers = buffers
  }

  /** Begins. The buffers are acquired, and are released here. CUPTI must have stopped recording. */
  begin(): void {
    this.#attempt()
  }

  /** CUPTI is about to be used again by this thread. */
  cancel(): void {
    this.#isOver = true
  }

  /** Whoever holds the buffers uses CUPTI. If that is another thread, that thread unloads it. */
  #retry(): void {
    if (this.#isOver || this.#buffers.acquire() === "held") return
    this.#attempt()
  }

  #attempt(): void {
    try {
      this.#isOver = ledger().locked(() => {
        const isIdle = isEverythingIdle()
        if (isIdle) this.#cupti.finalize()
        return isIdle
      })
    } catch {
      this.#isOver = true // The driver no longer answers.
    } finally {
      this.#buffers.release()
    }
    if (this.#isOver) return
    setTimeout(() => this.#retry(), this.#pause).unref()
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE)
  }
}

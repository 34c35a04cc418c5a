/**
 * Makes room in device memory for the driver itself. Graphs, kernels, cuBLAS and local memory need device memory that may be
 * idle in our pool. A driver call that runs out of memory is repeated after we release idle memory and, if it fails again,
 * once more after all frees so far have happened.
 *
 * Allocations of arrays must not come here: they search the pool first, and the runtime does their waiting.
 */
import type { NativeCall } from "../native/ffi.js"
import { slow, type SlowCall } from "../native/steps.js"
import { OUT_OF_MEMORY } from "./status.js"

/** Memory that can be released. */
export interface IdleMemory {
  /** Releases unused memory to the driver, without waiting for queued work. */
  releaseIdle(): void
  /** Blocks until every free so far has happened. */
  drainFrees(): void
}

/** Makes calls on one device that may run out of memory. */
export class Room {
  #memory: IdleMemory | undefined
  #isMaking = false

  /** Sets the memory to release from. */
  use(memory: IdleMemory): void {
    this.#memory = memory
  }

  /**
   * Makes a call, and repeats it as described above if it runs out of memory. Returns its last status.
   *
   * @param status the first status, if the call has been made already
   * @param isShort whether a status means out of memory
   */
  for(call: () => number, status = call(), isShort = isOutOfMemory): number {
    let last = status
    for (const make of this.#ways()) {
      if (!isShort(last)) break
      this.#make(make)
      last = call()
    }
    return last
  }

  /** Like {@link for}, for a call on another thread. */
  async forBackground(call: () => Promise<number>): Promise<number> {
    let last = await call()
    for (const make of this.#ways()) {
      if (!isOutOfMemory(last)) break
      this.#make(make)
      last = await call()
    }
    return last
  }

  /** A slow call that is repeated in the same way. */
  slow<A extends readonly unknown[]>(call: NativeCall<A>, ...args: A): SlowCall {
    const once = slow(call, ...args)
    return { now: () => this.for(() => once.now()), inBackground: () => this.forBackground(() => once.inBackground()) }
  }

  #ways(): (() => void)[] {
    const memory = this.#memory
    if (memory === undefined || this.#isMaking) return []
    const freeIdle = () => memory.releaseIdle()
    const drain = () => {
      memory.drainFrees()
      memory.releaseIdle()
    }
    return [freeIdle, drain]
  }

  /** Releasing memory may fail for lack of memory, too. Its failure is ignored: the repeated call reports its own. */
  #make(make: () => void): void {
    this.#isMaking = true
    try {
      make()
    } catch {
      // The repeated call reports its own failure.
    } finally {
      this.#isMaking = false
    }
  }
}

function isOutOfMemory(status: number): boolean {
  return status === OUT_OF_MEMORY
}

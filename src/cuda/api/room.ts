/**
 * Making room for the driver: graphs, kernels, cuBLAS and the local memory of launches need device memory, too, which may
 * lie idle in our pool. One rule for every call that can say out of memory: it is made again once idle memory has been
 * given back, and, if that did not help, once more when everything that was freed so far has happened.
 *
 * Allocations for arrays are no business of this one: they look into the pool first, and their wait is the runtime's.
 */
import { OUT_OF_MEMORY } from "./status.js"

/** Where room can be made. */
export interface IdleMemory {
  /** Gives back to the driver what nobody uses, without waiting for queued work. */
  releaseIdle(): void
  /** Blocks until every free so far has happened. */
  drainFrees(): void
}

/** Makes calls of one device's that may find no memory. */
export class Room {
  #memory: IdleMemory | undefined
  #isMaking = false

  /** From now on there is memory that may be idle. */
  use(memory: IdleMemory): void {
    this.#memory = memory
  }

  /**
   * The status of a call, made again as said above.
   *
   * @param status of the first time, if the call has been made already
   * @param isShort does a status say that there was no memory?
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

  /** The same for a call on another thread. */
  async forBackground(call: () => Promise<number>): Promise<number> {
    let last = await call()
    for (const make of this.#ways()) {
      if (!isOutOfMemory(last)) break
      this.#make(make)
      last = await call()
    }
    return last
  }

  #ways(): (() => void)[] {
    const memory = this.#memory
    if (memory === undefined || this.#isMaking) return []
    const giveBack = () => memory.releaseIdle()
    const drain = () => {
      memory.drainFrees()
      memory.releaseIdle()
    }
    return [giveBack, drain]
  }

  /** Making room may need calls that find no memory themselves. Whatever fails then, the call that is made again tells. */
  #make(make: () => void): void {
    this.#isMaking = true
    try {
      make()
    } catch {
      // See above.
    } finally {
      this.#isMaking = false
    }
  }
}

function isOutOfMemory(status: number): boolean {
  return status === OUT_OF_MEMORY
}

/**
 * Page-locked host memory.
 *
 * Blocks come in powers of two and are kept for reuse until the device is closed: locking pages takes a fraction of a
 * millisecond, and giving them back makes the driver wait for the device, which may be held up by the very thread that
 * gives them back.
 */
import { raiseLimit } from "../raise-limit.js"
import { OutOfMemoryError } from "../runtime/errors.js"
import type { PinnedMemory } from "../driver.js"
import type { CudaContext } from "./context.js"
import { viewMemory } from "./ffi.js"
import { OUT_OF_MEMORY, SUCCESS } from "./status.js"

const PORTABLE = 1
/** A page: less cannot be locked. */
const LEAST_BLOCK = 4096

/** A block of page-locked memory. */
export interface PinnedBlock {
  readonly address: number
  readonly byteLength: number
}

/** Blocks of page-locked memory, used again and again. */
export class PinnedPool {
  readonly #context: CudaContext
  /** Blocks nobody uses, by size. */
  readonly #idle = new Map<number, PinnedBlock[]>()

  readonly #reclaim: () => void

  /** `reclaim` may give blocks back. It is called before new ones are allocated. */
  constructor(context: CudaContext, reclaim: () => void = () => {}) {
    this.#context = context
    this.#reclaim = reclaim
  }

  /** A block of at least so many bytes. @throws OutOfMemoryError */
  take(byteLength: number): PinnedBlock {
    const size = blockSize(byteLength)
    return this.#takeIdle(size) ?? { address: this.#allocate(size), byteLength: size }
  }

  #takeIdle(size: number): PinnedBlock | undefined {
    const block = this.#idle.get(size)?.pop()
    if (block !== undefined) return block
    this.#reclaim()
    return this.#idle.get(size)?.pop()
  }

  give(block: PinnedBlock): void {
    const idle = this.#idle.get(block.byteLength)
    if (idle === undefined) this.#idle.set(block.byteLength, [block])
    else idle.push(block)
  }

  #allocate(byteLength: number): number {
    const { calls, out } = this.#context
    const status = this.#context.within(() => calls.cuMemHostAlloc(out.address, byteLength, PORTABLE))
    if (status === OUT_OF_MEMORY) {
      throw new OutOfMemoryError(
        `No ${byteLength} bytes of host memory could be page-locked: ${raiseLimit("locked memory", "-l")}use less ` +
          "pinned memory.",
      )
    }
    this.#context.check(status, "cuMemHostAlloc")
    return out.number(0)
  }

  /** Has the idle blocks given back to the system, once that waits for nothing. */
  close(): void {
    for (const blocks of this.#idle.values()) {
      for (const block of blocks.splice(0)) this.#context.atTheEnd(() => this.#release(block))
    }
  }

  #release({ address }: PinnedBlock): void {
    if (this.#context.isLost) return
    const { calls } = this.#context
    const status = this.#context.within(() => calls.cuMemFreeHost(address))
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuMemFreeHost")
  }
}

function blockSize(byteLength: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(byteLength, LEAST_BLOCK)))
}

/** Pinned memory that JavaScript holds. It may outlive the device: whatever reaches its buffer may still use it. */
export class PinnedMemoryOwner {
  readonly #pool: PinnedPool
  readonly #held = new Map<number, PinnedBlock>()
  #whenReturned: (() => void) | undefined

  constructor(pool: PinnedPool) {
    this.#pool = pool
  }

  /** @throws OutOfMemoryError */
  allocate(byteLength: number): PinnedMemory {
    const block = this.#pool.take(byteLength)
    try {
      // Made anew for each allocation, and kept by nobody here: its collection is what frees the block.
      const buffer = viewMemory(block.address, byteLength)
      this.#held.set(block.address, block)
      return { address: block.address, buffer, byteOffset: 0, byteLength }
    } catch (error) {
      this.#pool.give(block)
      throw error
    }
  }

  /** Nothing reaches the buffer any more, and nothing queued uses the memory. */
  free(address: number): void {
    const block = this.#held.get(address)
    if (block === undefined) return
    this.#held.delete(address)
    this.#pool.give(block)
    if (this.#held.size === 0) this.#whenReturned?.()
  }

  /** Calls `done` once all has come back, now if that is so. */
  close(done: () => void): void {
    this.#whenReturned = done
    if (this.#held.size === 0) done()
  }
}

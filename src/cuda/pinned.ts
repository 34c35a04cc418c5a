/**
 * Page-locked host memory, in blocks that are used again: locking pages takes the driver a third of a millisecond for each
 * MiB.
 *
 * The first blocks, of 32 MiB together, are locked one by one and kept until the device is closed, as giving them back would
 * wait for whatever the device does. The others come from a {@link HostPool}, and go back to the system when nobody has used
 * them for a while. Where there are no such pools, all are kept.
 */
import { OutOfMemoryError } from "../runtime/errors.js"
import type { PinnedMemory } from "../driver.js"
import { raiseLimit } from "../raise-limit.js"
import { clearTimeout, now, setTimeout } from "../timers.js"
import type { CudaContext } from "./context.js"
import { viewMemory } from "./ffi.js"
import { HostPool } from "./host-pool.js"
import { OUT_OF_MEMORY, SUCCESS } from "./status.js"

const MIB = 2 ** 20
const PORTABLE = 1
/** A page: less cannot be locked. */
const LEAST_BLOCK = 4096
/** So much is locked block by block, and kept. */
const MOST_KEPT = 32 * MIB
/** Up to here, blocks come in powers of two. */
const LARGEST_POWER = 64 * 1024
/** Above, so many sizes lie between two powers of two: a new block is larger than it must be by 6 % at most. */
const SIZES = 16
/** An idle block that is larger by this factor at most is better than locking more pages. */
const SLACK = 1.25
/** A block that nobody has used for so many milliseconds goes back to the system. */
const IDLE_TIME = 1000
/** So much goes back in one turn of the event loop, which takes a few milliseconds. */
const PORTION = 64 * MIB

/** A block of page-locked memory. */
export class PinnedBlock {
  readonly address: number
  readonly byteLength: number
  /** Does it come from the pool? */
  readonly isPooled: boolean
  /** When it was given back last. */
  idleSince = 0
  #bytes: Uint8Array | undefined

  constructor(address: number, byteLength: number, isPooled: boolean) {
    this.address = address
    this.byteLength = byteLength
    this.isPooled = isPooled
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= new Uint8Array(viewMemory(this.address, this.byteLength)))
  }
}

/** Blocks of page-locked memory, used again and again. */
export class PinnedPool {
  readonly #context: CudaContext
  readonly #reclaim: () => void
  /** Blocks nobody uses, by size, those that came back last at the end. */
  readonly #idle = new Map<number, PinnedBlock[]>()
  #kept = 0
  /** Undefined until more is wanted than is kept, null where there is none. */
  #hostPool: HostPool | null | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** An allocation has failed, so that what is waiting to come back has to be waited for. */
  isShort = false

  /** `reclaim` may give blocks back. It is called before new ones are allocated. */
  constructor(context: CudaContext, reclaim: () => void) {
    this.#context = context
    this.#reclaim = reclaim
  }

  /** A block of at least so many bytes. @throws OutOfMemoryError */
  take(byteLength: number): PinnedBlock {
    const idle = this.#takeIdle(byteLength)
    if (idle !== undefined) return idle
    this.#reclaim()
    return this.#takeIdle(byteLength) ?? this.#allocate(blockSize(byteLength))
  }

  #takeIdle(byteLength: number): PinnedBlock | undefined {
    const first = blockSize(byteLength)
    for (let size = first; size <= first * SLACK; size = blockSize(size + 1)) {
      const block = this.#idle.get(size)?.pop()
      if (block !== undefined) return block
    }
    return undefined
  }

  give(block: PinnedBlock): void {
    block.idleSince = now()
    const idle = this.#idle.get(block.byteLength)
    if (idle === undefined) this.#idle.set(block.byteLength, [block])
    else idle.push(block)
    if (block.isPooled) this.#timer ??= setTimeout(() => this.#giveBackOld(), IDLE_TIME).unref()
  }

  #allocate(byteLength: number): PinnedBlock {
    const block = this.#tryToAllocate(byteLength) ?? this.#allocateInRoom(byteLength)
    if (block !== undefined) return block
    this.isShort = true
    throw new OutOfMemoryError(
      `No ${byteLength} bytes of host memory could be page-locked: ${raiseLimit("locked memory", "-l")}use less ` +
        "pinned memory.",
    )
  }

  /** Idle blocks of another size may be in the way. */
  #allocateInRoom(byteLength: number): PinnedBlock | undefined {
    this.#giveBackIdle()
    return this.#tryToAllocate(byteLength)
  }

  #tryToAllocate(byteLength: number): PinnedBlock | undefined {
    if (this.#kept + byteLength <= MOST_KEPT) return this.#lock(byteLength)
    if (this.#hostPool === undefined) this.#hostPool = HostPool.make(this.#context) ?? null
    if (this.#hostPool === null) return this.#lock(byteLength)
    const address = this.#hostPool.allocate(byteLength)
    return address === undefined ? undefined : new PinnedBlock(address, byteLength, true)
  }

  #lock(byteLength: number): PinnedBlock | undefined {
    const { calls, out } = this.#context
    const status = this.#context.within(() => calls.cuMemHostAlloc(out.address, byteLength, PORTABLE))
    if (status === OUT_OF_MEMORY) return undefined
    this.#context.check(status, "cuMemHostAlloc")
    this.#kept += byteLength
    return new PinnedBlock(out.number(0), byteLength, false)
  }

  /** Called by a timer, from which nothing may be thrown. What fails is tried again with the next block. */
  #giveBackOld(): void {
    this.#timer = undefined
    const hostPool = this.#hostPool
    if (!hostPool || this.#context.isLost) return
    const latest = now() - IDLE_TIME
    this.#freePooled((block) => block.idleSince <= latest)
    try {
      if (hostPool.trim(PORTION)) this.#timer = setTimeout(() => this.#giveBackOld(), 1).unref()
    } catch {
      // See above.
    }
    if (this.#hasIdlePooled()) this.#timer ??= setTimeout(() => this.#giveBackOld(), IDLE_TIME).unref()
  }

  #hasIdlePooled(): boolean {
    return [...this.#idle.values()].some((blocks) => blocks.some(({ isPooled }) => isPooled))
  }

  #freePooled(isMeant: (block: PinnedBlock) => boolean): void {
    for (const [size, blocks] of this.#idle) {
      const left = blocks.filter((block) => !block.isPooled || !isMeant(block))
      for (const block of blocks) if (block.isPooled && isMeant(block)) this.#hostPool?.free(block.address)
      if (left.length > 0) this.#idle.set(size, left)
      else this.#idle.delete(size)
    }
  }

  /** Gives back what waits for nothing. */
  #giveBackIdle(): void {
    this.#freePooled(() => true)
    this.#hostPool?.trim(Infinity)
  }

  /** Blocks until what is idle has gone back to the system, for who has found no memory. @throws DeviceLostError, CudaError */
  drain(): void {
    this.isShort = false
    this.#giveBackIdle()
    for (const block of [...this.#idle.values()].flat()) {
      this.#kept -= block.byteLength
      this.#release(block)
    }
    this.#idle.clear()
  }

  /** Has the idle blocks given back to the system, once that waits for nothing. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const hostPool = this.#hostPool
    const blocks = [...this.#idle.values()].flat()
    this.#idle.clear()
    this.#hostPool = null
    for (const block of blocks) {
      if (block.isPooled) hostPool?.free(block.address)
      else this.#context.atTheEnd(() => this.#release(block))
    }
    hostPool?.close()
  }

  #release({ address }: PinnedBlock): void {
    if (this.#context.isLost) return
    const { calls } = this.#context
    const status = this.#context.within(() => calls.cuMemFreeHost(address))
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuMemFreeHost")
  }
}

function blockSize(byteLength: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(byteLength, LEAST_BLOCK)))
  if (power <= LARGEST_POWER) return power
  const step = power / 2 / SIZES
  return Math.ceil(byteLength / step) * step
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

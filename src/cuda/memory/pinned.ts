/**
 * Page-locked host memory, in blocks that are reused: locking pages takes a third of a millisecond per MiB.
 *
 * The first 32 MiB and all small blocks come from `cuMemHostAlloc` and are kept until the device is closed, because freeing
 * them would wait until the device is idle. The other blocks are {@link MappedMemory} and are returned to the system after
 * an idle time. If the driver cannot map host memory, all blocks are kept.
 *
 * A block must never be released while a queued copy, or JavaScript, may still use it.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import type { PinnedMemory } from "../../driver/memory.js"
import { raiseLimit } from "../../common/show.js"
import { clearTimeout, now, setTimeout } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import { viewMemory } from "../native/ffi.js"
import { MappedMemory } from "./mapped-memory.js"
import { OUT_OF_MEMORY, SUCCESS } from "../api/status.js"

const MIB = 2 ** 20
const PORTABLE = 1
/** One page, the least that can be locked. */
const LEAST_BLOCK = 4096
/** At most this much is kept, beside the blocks that are too small to be mapped. */
const MOST_KEPT = 32 * MIB
/** Mapped blocks are multiples of this. */
const LEAST_MAPPED = 2 * MIB
/** Up to this size, block sizes are powers of two. */
const LARGEST_POWER = 64 * 1024
/** Above it, there are this many sizes between two powers of two, so that a block is at most 6 % too large. */
const SIZES = 16
/** An idle block that is at most this much too large is used instead of locking more pages. */
const SLACK = 1.25
/** A mapped block that is idle for this many milliseconds is returned to the system. */
const IDLE_TIME = 1000

/** A block of page-locked memory. */
export class PinnedBlock {
  readonly address: number
  readonly byteLength: number
  readonly isMapped: boolean
  /** When it was last released. */
  idleSince = 0
  #bytes: Uint8Array<ArrayBuffer> | undefined

  constructor(address: number, byteLength: number, isMapped: boolean) {
    this.address = address
    this.byteLength = byteLength
    this.isMapped = isMapped
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return (this.#bytes ??= new Uint8Array(viewMemory(this.address, this.byteLength)))
  }
}

/** Users of blocks that find out by polling when a stream has finished with them. */
export interface BlockUsers {
  /** Releases some of the blocks that are no longer in use. Called before more memory is locked. */
  reclaim(): void
  /** Releases all blocks that are no longer in use. @returns whether mapped blocks are still in use */
  reclaimAll(): boolean
}

/** A pool of page-locked blocks. */
export class PinnedPool {
  readonly #context: CudaContext
  readonly #users: BlockUsers
  /** Idle blocks by size, the last released at the end. */
  readonly #idle = new Map<number, PinnedBlock[]>()
  #kept = 0
  /** Undefined until it is needed, null if the driver cannot map host memory. */
  #mapped: MappedMemory | null | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Whether an allocation has failed, so that `drainFrees` must wait for the blocks in use. */
  isShort = false

  constructor(context: CudaContext, users: BlockUsers) {
    this.#context = context
    this.#users = users
  }

  /** A block of at least `byteLength` bytes. @throws OutOfMemoryError */
  acquire(byteLength: number): PinnedBlock {
    const idle = this.#takeIdle(byteLength)
    if (idle !== undefined) return idle
    this.#users.reclaim()
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

  /** A user of {@link BlockUsers} has the block: it must be reclaimed even if no more memory is requested. */
  watch(block: PinnedBlock): void {
    if (block.isMapped) this.#unmapLater(IDLE_TIME)
  }

  release(block: PinnedBlock): void {
    block.idleSince = now()
    const idle = this.#idle.get(block.byteLength)
    if (idle === undefined) this.#idle.set(block.byteLength, [block])
    else idle.push(block)
    if (block.isMapped) this.#unmapLater(IDLE_TIME)
  }

  #allocate(byteLength: number): PinnedBlock {
    const block = this.#tryToAllocate(byteLength)
    if (block !== undefined) return block
    this.isShort = true
    throw new OutOfMemoryError(
      `${byteLength} bytes of host memory could not be page-locked: ${raiseLimit("locked memory", "-l")}use less ` +
        "pinned memory.",
    )
  }

  #tryToAllocate(byteLength: number): PinnedBlock | undefined {
    const mapped = this.#mappedFor(byteLength)
    const attempt = () => (mapped === undefined ? this.#lock(byteLength) : this.#map(byteLength, mapped))
    const block = attempt()
    if (block !== undefined) return block
    // Idle blocks of other sizes may take up the memory.
    this.unmapIdle()
    return attempt() ?? (mapped && this.#lock(byteLength))
  }

  /** The memory for a block that is not kept. */
  #mappedFor(byteLength: number): MappedMemory | undefined {
    if (byteLength < LEAST_MAPPED || this.#kept + byteLength <= MOST_KEPT) return undefined
    if (this.#mapped === undefined) this.#mapped = MappedMemory.of(this.#context) ?? null
    return this.#mapped ?? undefined
  }

  #map(byteLength: number, mapped: MappedMemory): PinnedBlock | undefined {
    const address = mapped.allocate(byteLength)
    return address === undefined ? undefined : new PinnedBlock(address, byteLength, true)
  }

  #lock(byteLength: number): PinnedBlock | undefined {
    const { calls, holding } = this.#context
    const { status, handle: address } = holding.make("pinned", (out) =>
      this.#context.within(() => calls.cuMemHostAlloc(out, byteLength, PORTABLE)),
    )
    if (status === OUT_OF_MEMORY) return undefined
    this.#context.check(status, "cuMemHostAlloc")
    this.#kept += byteLength
    return new PinnedBlock(address, byteLength, false)
  }

  #unmapLater(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.#unmapOld(), milliseconds).unref()
  }

  /** Unmaps one block at a time, because that takes a few milliseconds. Called by a timer, so it must not throw. */
  #unmapOld(): void {
    this.#timer = undefined
    const isMoreToCome = this.#tryToReclaim()
    if (this.#context.isLost) return
    const latest = now() - IDLE_TIME
    const mapped = [...this.#idle.values()].flat().filter(({ isMapped }) => isMapped)
    const old = mapped.filter(({ idleSince }) => idleSince <= latest)
    const [block] = old
    if (block !== undefined) this.#unmap(block)
    if (old.length > 1) this.#unmapLater(1)
    else if (isMoreToCome || mapped.length > old.length) this.#unmapLater(IDLE_TIME)
  }

  #tryToReclaim(): boolean {
    try {
      return this.#users.reclaimAll()
    } catch {
      return true // If the device is lost, the caller stops.
    }
  }

  #unmap(block: PinnedBlock): void {
    const others = this.#idle.get(block.byteLength)?.filter((other) => other !== block) ?? []
    this.#idle.set(block.byteLength, others)
    this.#mapped?.free(block.address)
  }

  /** Unmaps all idle mapped blocks, which does not wait. */
  unmapIdle(): void {
    for (const block of [...this.#idle.values()].flat()) if (block.isMapped) this.#unmap(block)
  }

  /** Returns all idle blocks to the system after an allocation failed. Blocks. @throws DeviceLostError, CudaError */
  drain(): void {
    this.isShort = false
    this.unmapIdle()
    for (const block of this.#takeAll()) {
      this.#kept -= block.byteLength
      this.#unlock(block)
    }
  }

  /** Frees the mapped blocks. `leftovers.ts` frees the others, with everything else that the device leaves behind. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.unmapIdle()
    this.#takeAll()
  }

  #takeAll(): PinnedBlock[] {
    const blocks = [...this.#idle.values()].flat()
    this.#idle.clear()
    return blocks
  }

  #unlock({ address }: PinnedBlock): void {
    if (this.#context.isLost) return
    this.#context.holding.remove(address)
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

/** The pinned memory that JavaScript holds. It may outlive the device, because JavaScript may still reach its buffer. */
export class PinnedMemoryOwner {
  readonly #pool: PinnedPool
  readonly #held = new Map<number, PinnedBlock>()
  #whenReturned: (() => void) | undefined

  constructor(pool: PinnedPool) {
    this.#pool = pool
  }

  /**
   * Staging memory shares its block's buffer. Making a buffer costs a microsecond, and if the thread is a Worker that is being
   * terminated meanwhile, koffi ends the process.
   *
   * @throws OutOfMemoryError
   */
  allocate(byteLength: number, isStaging: boolean): PinnedMemory {
    const block = this.#pool.acquire(byteLength)
    try {
      // The user gets a new buffer, not kept here: its collection is what frees the block.
      const buffer = isStaging ? block.bytes.buffer : viewMemory(block.address, byteLength)
      this.#held.set(block.address, block)
      return { address: block.address, buffer, byteOffset: 0, byteLength }
    } catch (error) {
      this.#pool.release(block)
      throw error
    }
  }

  /** Nothing may reach the buffer any more, and no queued operation may use the memory. */
  free(address: number): void {
    const block = this.#held.get(address)
    if (block === undefined) return
    this.#held.delete(address)
    this.#pool.release(block)
    if (this.#held.size === 0) this.#whenReturned?.()
  }

  /** Calls `done` once everything has been freed, or now if it has been. */
  close(done: () => void): void {
    this.#whenReturned = done
    if (this.#held.size === 0) done()
  }
}

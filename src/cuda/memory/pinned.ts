/**
 * Page-locked host memory, in blocks that are used again: locking pages takes the driver a third of a millisecond for each
 * MiB.
 *
 * The first blocks, of 32 MiB together, and small ones are locked by `cuMemHostAlloc` and kept until the device is closed, as
 * giving them back would wait for whatever the device does. The others are {@link MappedMemory}, and go back to the system
 * when nobody has used them for a while. Where the driver cannot map any, all are kept.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import type { PinnedMemory } from "../../driver.js"
import { raiseLimit } from "../../common/raise-limit.js"
import { clearTimeout, now, setTimeout } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import { viewMemory } from "../api/ffi.js"
import { MappedMemory } from "./mapped-memory.js"
import { OUT_OF_MEMORY, SUCCESS } from "../api/status.js"

const MIB = 2 ** 20
const PORTABLE = 1
/** A page: less cannot be locked. */
const LEAST_BLOCK = 4096
/** So much is kept, and besides blocks that are too small to be mapped. */
const MOST_KEPT = 32 * MIB
/** What is mapped is a multiple of this. */
const LEAST_MAPPED = 2 * MIB
/** Up to here, blocks come in powers of two. */
const LARGEST_POWER = 64 * 1024
/** Above, so many sizes lie between two powers of two: a new block is larger than it must be by 6 % at most. */
const SIZES = 16
/** An idle block that is larger by this factor at most is better than locking more pages. */
const SLACK = 1.25
/** A block that nobody has used for so many milliseconds goes back to the system. */
const IDLE_TIME = 1000

/** A block of page-locked memory. */
export class PinnedBlock {
  readonly address: number
  readonly byteLength: number
  readonly isMapped: boolean
  /** When it was given back last. */
  idleSince = 0
  #bytes: Uint8Array | undefined

  constructor(address: number, byteLength: number, isMapped: boolean) {
    this.address = address
    this.byteLength = byteLength
    this.isMapped = isMapped
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= new Uint8Array(viewMemory(this.address, this.byteLength)))
  }
}

/** Blocks that are in use for as long as a stream takes. */
export interface Borrowed {
  /** Gives back some of those whose use is over. Called before more memory is locked. */
  reclaim(): void
  /** Gives back all of those whose use is over. @returns whether there are others that are mapped */
  reclaimAll(): boolean
}

/** Blocks of page-locked memory, used again and again. */
export class PinnedPool {
  readonly #context: CudaContext
  readonly #borrowed: Borrowed
  /** Blocks nobody uses, by size, those that came back last at the end. */
  readonly #idle = new Map<number, PinnedBlock[]>()
  #kept = 0
  /** Undefined until more is wanted than is kept, null where there is none. */
  #mapped: MappedMemory | null | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** An allocation has failed, so that what is waiting to come back has to be waited for. */
  isShort = false

  constructor(context: CudaContext, borrowed: Borrowed) {
    this.#context = context
    this.#borrowed = borrowed
  }

  /** A block of at least so many bytes. @throws OutOfMemoryError */
  take(byteLength: number): PinnedBlock {
    const idle = this.#takeIdle(byteLength)
    if (idle !== undefined) return idle
    this.#borrowed.reclaim()
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

  /** The block was lent to who has it reclaimed: that must happen though nobody asks for more memory. */
  watch(block: PinnedBlock): void {
    if (block.isMapped) this.#giveBackLater(IDLE_TIME)
  }

  give(block: PinnedBlock): void {
    block.idleSince = now()
    const idle = this.#idle.get(block.byteLength)
    if (idle === undefined) this.#idle.set(block.byteLength, [block])
    else idle.push(block)
    if (block.isMapped) this.#giveBackLater(IDLE_TIME)
  }

  #allocate(byteLength: number): PinnedBlock {
    const block = this.#tryToAllocate(byteLength)
    if (block !== undefined) return block
    this.isShort = true
    throw new OutOfMemoryError(
      `No ${byteLength} bytes of host memory could be page-locked: ${raiseLimit("locked memory", "-l")}use less ` +
        "pinned memory.",
    )
  }

  #tryToAllocate(byteLength: number): PinnedBlock | undefined {
    const mapped = this.#mappedFor(byteLength)
    const attempt = () => (mapped === undefined ? this.#lock(byteLength) : this.#map(byteLength, mapped))
    const block = attempt()
    if (block !== undefined) return block
    // Idle blocks of other sizes may be in the way.
    this.#giveBackIdle()
    return attempt() ?? (mapped && this.#lock(byteLength))
  }

  /** Where a block that is not kept comes from. */
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
    const out = holding.reserve("pinned")
    const status = this.#context.within(() => calls.cuMemHostAlloc(out, byteLength, PORTABLE))
    const address = holding.settle(status === SUCCESS)
    if (status === OUT_OF_MEMORY) return undefined
    this.#context.check(status, "cuMemHostAlloc")
    this.#kept += byteLength
    return new PinnedBlock(address, byteLength, false)
  }

  #giveBackLater(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.#giveBackOld(), milliseconds).unref()
  }

  /** One block each time, as unmapping takes a few milliseconds. Called by a timer, from which nothing may be thrown. */
  #giveBackOld(): void {
    this.#timer = undefined
    const isMoreToCome = this.#tryToReclaim()
    if (this.#context.isLost) return
    const latest = now() - IDLE_TIME
    const mapped = [...this.#idle.values()].flat().filter(({ isMapped }) => isMapped)
    const old = mapped.filter(({ idleSince }) => idleSince <= latest)
    const [block] = old
    if (block !== undefined) this.#giveBack(block)
    if (old.length > 1) this.#giveBackLater(1)
    else if (isMoreToCome || mapped.length > old.length) this.#giveBackLater(IDLE_TIME)
  }

  #tryToReclaim(): boolean {
    try {
      return this.#borrowed.reclaimAll()
    } catch {
      return true // Unless the device is lost.
    }
  }

  #giveBack(block: PinnedBlock): void {
    const others = this.#idle.get(block.byteLength)?.filter((other) => other !== block) ?? []
    this.#idle.set(block.byteLength, others)
    this.#mapped?.free(block.address)
  }

  /** Gives back what waits for nothing. */
  #giveBackIdle(): void {
    for (const block of [...this.#idle.values()].flat()) if (block.isMapped) this.#giveBack(block)
  }

  /** Blocks until what is idle has gone back to the system, for who has found no memory. @throws DeviceLostError, CudaError */
  drain(): void {
    this.isShort = false
    this.#giveBackIdle()
    for (const block of this.#takeAll()) {
      this.#kept -= block.byteLength
      this.#release(block)
    }
  }

  /** What is not mapped is given back with what else the device leaves: see `leftovers.ts`. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#giveBackIdle()
    this.#takeAll()
  }

  #takeAll(): PinnedBlock[] {
    const blocks = [...this.#idle.values()].flat()
    this.#idle.clear()
    return blocks
  }

  #release({ address }: PinnedBlock): void {
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

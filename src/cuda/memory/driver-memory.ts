/**
 * Device memory as the driver hands it out: from a pool of our own, in whose order allocations and frees take part as
 * operations of their stream.
 *
 * The pool may hand freed memory to another stream when the free is over, or when that stream waits, over any chain of
 * events, for a point behind it; the driver knows those waits, and waits that were left out were implied by others. It
 * may not add waits of its own, which would put streams in an order nobody asked for, and it gives nothing back to the
 * system on its own, which would cost milliseconds at some synchronisation.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { MemoryUsage, StreamHandle } from "../../driver.js"
import { CMemory } from "../api/c-memory.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DeviceMemory } from "./device-memory.js"
import { OUT_OF_MEMORY, SUCCESS } from "../api/status.js"
import type { Streams } from "../stream/streams.js"

const ALLOCATION_PINNED = 1
const LOCATION_DEVICE = 1
const POOL_PROPERTIES_BYTES = 88

const REUSE_FOLLOW_EVENT_DEPENDENCIES = 1
const REUSE_ALLOW_OPPORTUNISTIC = 2
const REUSE_ALLOW_INTERNAL_DEPENDENCIES = 3
const RELEASE_THRESHOLD = 4
const RESERVED_CURRENT = 5

/** Each array an allocation of the driver's own. */
export class DriverMemory implements DeviceMemory {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #pool: number
  /** The bytes of each allocation that has not been freed. */
  readonly #sizes = new Map<number, number>()
  /** Those of them that every stream may use. */
  readonly #forAll = new Set<number>()
  /** Streams with a free that may not have happened yet. */
  readonly #freedOn = new Set<StreamHandle>()
  readonly #count = new MemoryCount()
  readonly #captures: Captures
  #outside: StreamHandle | undefined

  /** @throws CudaError */
  constructor(context: CudaContext, streams: Streams, captures: Captures) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#pool = createPool(context)
    context.holding.add("pool", this.#pool)
  }

  /** @throws OutOfMemoryError when there is none, having waited for nothing */
  allocate(byteLength: number, stream: StreamHandle): number {
    // In a capture it would be the graph's memory, there only while that runs.
    const isCaptured = this.#captures.isCapturingForAnyone(stream)
    return isCaptured ? this.allocateForAll(byteLength) : this.#allocateOn(stream, byteLength)
  }

  /** A stream on which nothing is queued that could hold it up. */
  get outside(): StreamHandle {
    this.#outside ??= this.#streams.create(0)
    return this.#outside
  }

  /** The same for the use of every stream from now on. */
  allocateForAll(byteLength: number): number {
    const { outside } = this
    const address = this.#allocateOn(outside, byteLength)
    try {
      this.#streams.await(outside)
      this.#forAll.add(address)
      return address
    } catch (error) {
      this.free(address, outside)
      throw error
    }
  }

  #allocateOn(stream: StreamHandle, byteLength: number): number {
    const context = this.#context
    const out = context.holding.reserve("memory")
    let status = context.calls.cuMemAllocFromPoolAsync(out, byteLength, this.#pool, stream)
    if (status !== SUCCESS) {
      status = context.again(status, "cuMemAllocFromPoolAsync", out, byteLength, this.#pool, stream)
    }
    const address = context.holding.settle(status === SUCCESS)
    if (status === OUT_OF_MEMORY) throw this.outOfMemory(byteLength, this.#count.used)
    context.check(status, "cuMemAllocFromPoolAsync")
    this.#sizes.set(address, byteLength)
    this.#count.add(byteLength)
    return address
  }

  isEarly(address: number): boolean {
    return !this.#forAll.has(address)
  }

  /** Never throws: memory that cannot be freed is leaked, with a warning. */
  free(address: number, stream: StreamHandle): void {
    const byteLength = this.#sizes.get(address)
    if (byteLength === undefined) return
    this.#sizes.delete(address)
    this.#forAll.delete(address)
    this.#count.used -= byteLength
    const context = this.#context
    if (context.isLost) return
    context.holding.remove(address)
    let status = context.calls.cuMemFreeAsync(address, stream)
    if (status !== SUCCESS) status = context.again(status, "cuMemFreeAsync", address, stream)
    if (status === SUCCESS) this.#freedOn.add(stream)
    else context.warnOfLeak(status, "cuMemFreeAsync")
  }

  /** What an allocation throws that cannot be had. `used`: bytes that are in arrays. */
  outOfMemory(byteLength: number, used: number): OutOfMemoryError {
    const { reserved } = this.usage()
    const { free, total } = this.#systemMemory()
    return new OutOfMemoryError(
      `${this.#context.label} has no room for ${byteLength} bytes: ${used} bytes are in arrays, ${reserved} are held ` +
        `for them, and ${free} of its ${total} are free. Dispose of arrays that are not needed, or use smaller ones.`,
    )
  }

  #systemMemory(): { free: number; total: number } {
    const { out, calls } = this.#context
    const status = this.#context.within(() => calls.cuMemGetInfo(out.address, out.address + 8))
    this.#context.check(status, "cuMemGetInfo")
    return { free: out.number(0), total: out.number(8) }
  }

  /** Blocks until every free so far has happened, and lets go of what the pool holds in pieces of the wrong size. */
  drainFrees(): void {
    for (const stream of this.#freedOn) {
      if (this.#streams.isCapturing(stream)) continue
      this.#streams.await(stream)
      this.#freedOn.delete(stream)
    }
    this.#streams.awaitEnded()
    this.trim()
  }

  giveBackIdle(): void {
    this.trim()
  }

  /** Gives back to the system what the pool holds and nobody uses. @throws CudaError */
  trim(): void {
    this.#context.check(this.#context.calls.cuMemPoolTrimTo(this.#pool, 0), "cuMemPoolTrimTo")
  }

  /** Its end stands for its frees. */
  forgetStream(stream: StreamHandle): undefined {
    this.#freedOn.delete(stream)
  }

  /** The driver knows by itself. */
  hasPassed(): void {}

  usage(): MemoryUsage {
    const { out, calls } = this.#context
    this.#context.check(calls.cuMemPoolGetAttribute(this.#pool, RESERVED_CURRENT, out.address), "cuMemPoolGetAttribute")
    const { used, peak } = this.#count
    return { used, reserved: out.number(0), peak }
  }

  /** Has everything been freed? */
  get isEmpty(): boolean {
    return this.#sizes.size === 0
  }

  /** Frees what is left, on a stream made for it. Nothing is queued any more. @throws CudaError, having freed nothing */
  freeAll(): void {
    if (this.isEmpty) return
    const stream = this.#streams.create(0)
    for (const address of [...this.#sizes.keys()]) this.free(address, stream)
  }

  /** Gives up the pool, which ends with its last allocation. */
  close(): void {
    if (this.#context.isLost) return
    this.#context.holding.remove(this.#pool)
    const status = this.#context.calls.cuMemPoolDestroy(this.#pool)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuMemPoolDestroy")
  }
}

function createPool(context: CudaContext): number {
  const properties = new CMemory(POOL_PROPERTIES_BYTES)
  properties.setInt(0, ALLOCATION_PINNED)
  properties.setInt(8, LOCATION_DEVICE)
  properties.setInt(12, context.device)
  context.check(context.calls.cuMemPoolCreate(context.out.address, properties.address), "cuMemPoolCreate")
  const pool = context.out.number(0)
  try {
    setAttribute(context, pool, REUSE_FOLLOW_EVENT_DEPENDENCIES, 1)
    setAttribute(context, pool, REUSE_ALLOW_OPPORTUNISTIC, 1)
    setAttribute(context, pool, REUSE_ALLOW_INTERNAL_DEPENDENCIES, 0)
    setAttribute(context, pool, RELEASE_THRESHOLD, Number.MAX_SAFE_INTEGER)
  } catch (error) {
    context.calls.cuMemPoolDestroy(pool)
    throw error
  }
  return pool
}

function setAttribute(context: CudaContext, pool: number, attribute: number, value: number): void {
  context.out.setNumber(0, value)
  context.check(context.calls.cuMemPoolSetAttribute(pool, attribute, context.out.address), "cuMemPoolSetAttribute")
}

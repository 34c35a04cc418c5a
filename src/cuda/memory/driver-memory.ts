/**
 * Device memory from a memory pool of the CUDA driver. Allocations and frees are operations of their stream.
 *
 * The pool may reuse freed memory on another stream once the free is over, or if that stream waits for a point after the
 * free, directly or through other streams. The driver sees these waits; each wait that we skipped is implied by others.
 * The pool must never add waits of its own, because they would order streams that the user did not order. It must never
 * return memory to the system on its own, because that would cost milliseconds at some later synchronisation.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { StreamHandle } from "../../driver/handles.js"
import { CMemory } from "../native/c-memory.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DeviceMemory, OwnUsage } from "./device-memory.js"
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

/** Makes one driver allocation for each array. */
export class DriverMemory implements DeviceMemory {
  readonly allocatesInOrder = true
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #pool: number
  /** The bytes of each allocation that has not been freed. */
  readonly #sizes = new Map<number, number>()
  /** The allocations that every stream may use. */
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
  }

  /** @throws OutOfMemoryError without having waited */
  allocate(byteLength: number, stream: StreamHandle): number {
    // On a captured stream, the allocation would belong to the graph and exist only while the graph runs.
    const isCaptured = this.#captures.isInAnyCapture(stream)
    return isCaptured ? this.allocateForAll(byteLength) : this.#allocateOn(stream, byteLength)
  }

  /** A stream without user work, on which nothing can block. */
  get outside(): StreamHandle {
    this.#outside ??= this.#streams.create(0)
    return this.#outside
  }

  /** Allocates memory that every stream may use from now on. */
  allocateForAll(byteLength: number): number {
    const { outside } = this
    const address = this.#allocateOn(outside, byteLength)
    try {
      this.#streams.synchronize(outside)
      this.#forAll.add(address)
      return address
    } catch (error) {
      this.free(address, outside)
      throw error
    }
  }

  #allocateOn(stream: StreamHandle, byteLength: number): number {
    const context = this.#context
    const { status, handle: address } = context.holding.make("memory", (out) => {
      const first = context.calls.cuMemAllocFromPoolAsync(out, byteLength, this.#pool, stream)
      if (first === SUCCESS) return first
      return context.again(first, "cuMemAllocFromPoolAsync", out, byteLength, this.#pool, stream)
    })
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

  /** The error of an allocation that failed. `used`: bytes in arrays. */
  outOfMemory(byteLength: number, used: number): OutOfMemoryError {
    const { reserved } = this.usage()
    const { free, total } = this.#context.systemMemory()
    return new OutOfMemoryError(
      `${this.#context.label} has no room for ${byteLength} bytes: ${used} bytes are in arrays, ${reserved} are ` +
        `reserved for arrays, and ${free} of its ${total} are free. Dispose of arrays that are not needed, or use smaller ones.`,
    )
  }

  /** Blocks until every free so far has happened, and trims the pool, whose free blocks may be too small. */
  drainFrees(): void {
    for (const stream of this.#freedOn) {
      if (this.#streams.isInAnyCapture(stream)) continue
      this.#streams.synchronize(stream)
      this.#freedOn.delete(stream)
    }
    this.#streams.ends.synchronize()
    this.trim()
  }

  releaseIdle(): void {
    this.trim()
  }

  /** Returns the pool's unused memory to the system. @throws CudaError */
  trim(): void {
    this.#context.check(this.#context.calls.cuMemPoolTrimTo(this.#pool, 0), "cuMemPoolTrimTo")
  }

  /** Nothing to keep: `Streams` waits for the stream's end, which is after its frees. */
  forgetStream(stream: StreamHandle): undefined {
    this.#freedOn.delete(stream)
  }

  /** Nothing to do: the driver sees it itself. */
  noteIdle(): void {}

  usage(): OwnUsage {
    const { out, calls } = this.#context
    this.#context.check(calls.cuMemPoolGetAttribute(this.#pool, RESERVED_CURRENT, out.address), "cuMemPoolGetAttribute")
    const { used, peak } = this.#count
    return { used, reserved: out.number(0), peak }
  }

  resetPeak(): void {
    this.#count.resetPeak()
  }

  /** Whether everything has been freed. */
  get isEmpty(): boolean {
    return this.#sizes.size === 0
  }

  /** Frees everything on a new stream. Nothing may be queued any more. @throws CudaError, having freed nothing */
  freeAll(): void {
    if (this.isEmpty) return
    const stream = this.#streams.create(0)
    for (const address of [...this.#sizes.keys()]) this.free(address, stream)
  }

  /** Destroys the pool. CUDA keeps it until its last allocation is freed. */
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
  const { status, handle: pool } = context.holding.make("pool", (out) =>
    context.calls.cuMemPoolCreate(out, properties.address),
  )
  context.check(status, "cuMemPoolCreate")
  try {
    setAttribute(context, pool, REUSE_FOLLOW_EVENT_DEPENDENCIES, 1)
    setAttribute(context, pool, REUSE_ALLOW_OPPORTUNISTIC, 1)
    setAttribute(context, pool, REUSE_ALLOW_INTERNAL_DEPENDENCIES, 0)
    setAttribute(context, pool, RELEASE_THRESHOLD, Number.MAX_SAFE_INTEGER)
  } catch (error) {
    context.holding.remove(pool)
    context.calls.cuMemPoolDestroy(pool)
    throw error
  }
  return pool
}

function setAttribute(context: CudaContext, pool: number, attribute: number, value: number): void {
  context.out.setNumber(0, value)
  context.check(context.calls.cuMemPoolSetAttribute(pool, attribute, context.out.address), "cuMemPoolSetAttribute")
}

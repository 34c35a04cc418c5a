/**
 * Page-locked memory from a pool of the driver's, where it has such pools. Unlike `cuMemFreeHost`, which waits for whatever
 * runs in the context and holds up every other thread's calls meanwhile (measured on an H200, driver 580), memory of a pool is
 * given back without any wait. The pool takes memory from the system in steps of 32 MiB.
 */
import { CMemory } from "./c-memory.js"
import type { CudaContext } from "./context.js"
import { OUT_OF_MEMORY, SUCCESS } from "./status.js"

const ALLOCATION_PINNED = 1
const LOCATION_DEVICE = 1
const LOCATION_HOST = 2
const READ_AND_WRITE = 3
const POOL_PROPERTIES_BYTES = 88
const RELEASE_THRESHOLD = 4
const RESERVED_CURRENT = 5
const NON_BLOCKING = 1

/** The pool of one device. */
export class HostPool {
  readonly #context: CudaContext
  readonly #pool: number
  /** Nothing but allocations and frees is queued here, so nothing holds it up. */
  readonly #stream: number

  private constructor(context: CudaContext, pool: number, stream: number) {
    this.#context = context
    this.#pool = pool
    this.#stream = stream
  }

  /** Undefined where the driver has no such pools. */
  static make(context: CudaContext): HostPool | undefined {
    return context.within(() => {
      const pool = createPool(context)
      if (pool === undefined) return undefined
      const { calls, out } = context
      if (calls.cuStreamCreateWithPriority(out.address, NON_BLOCKING, 0) === SUCCESS) {
        return new HostPool(context, pool, out.number(0))
      }
      calls.cuMemPoolDestroy(pool)
      return undefined
    })
  }

  /** @returns undefined without memory for it. @throws CudaError */
  allocate(byteLength: number): number | undefined {
    const context = this.#context
    const { calls, out } = context
    const first = calls.cuMemAllocFromPoolAsync(out.address, byteLength, this.#pool, this.#stream)
    const status = context.again(first, "cuMemAllocFromPoolAsync", out.address, byteLength, this.#pool, this.#stream)
    if (status === OUT_OF_MEMORY) return undefined
    context.check(status, "cuMemAllocFromPoolAsync")
    const address = out.number(0)
    this.#synchronize()
    return address
  }

  /** Nothing uses the memory any more. The system has it back after {@link trim}. */
  free(address: number): void {
    const context = this.#context
    if (context.isLost) return
    const first = context.calls.cuMemFreeAsync(address, this.#stream)
    const status = context.again(first, "cuMemFreeAsync", address, this.#stream)
    if (status !== SUCCESS) context.warnOfLeak(status, "cuMemFreeAsync")
  }

  /** Gives back to the system what is free, so many bytes at most. @returns whether there may be more. @throws CudaError */
  trim(most: number): boolean {
    this.#synchronize()
    const before = this.#reserved()
    const keep = Math.max(0, before - most)
    this.#context.check(this.#context.calls.cuMemPoolTrimTo(this.#pool, keep), "cuMemPoolTrimTo")
    return keep > 0 && this.#reserved() < before
  }

  #reserved(): number {
    const { calls, out } = this.#context
    this.#context.check(calls.cuMemPoolGetAttribute(this.#pool, RESERVED_CURRENT, out.address), "cuMemPoolGetAttribute")
    return out.number(0)
  }

  #synchronize(): void {
    const status = this.#context.calls.cuStreamSynchronize(this.#stream)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamSynchronize", this.#stream)
  }

  /** Everything has been freed. */
  close(): void {
    const context = this.#context
    if (context.isLost) return
    const { calls } = context
    for (const [call, status] of [
      ["cuStreamDestroy", calls.cuStreamDestroy(this.#stream)],
      ["cuMemPoolDestroy", calls.cuMemPoolDestroy(this.#pool)],
    ] as const) {
      if (status !== SUCCESS) context.warnOfLeak(status, call)
    }
  }
}

function createPool(context: CudaContext): number | undefined {
  const { calls, out } = context
  const properties = new CMemory(POOL_PROPERTIES_BYTES)
  properties.setInt(0, ALLOCATION_PINNED)
  properties.setInt(8, LOCATION_HOST)
  if (calls.cuMemPoolCreate(out.address, properties.address) !== SUCCESS) return undefined
  const pool = out.number(0)
  const access = new CMemory(12)
  access.setInt(0, LOCATION_DEVICE)
  access.setInt(4, context.device)
  access.setInt(8, READ_AND_WRITE)
  out.setNumber(0, Number.MAX_SAFE_INTEGER)
  const isUsable =
    calls.cuMemPoolSetAccess(pool, access.address, 1) === SUCCESS &&
    calls.cuMemPoolSetAttribute(pool, RELEASE_THRESHOLD, out.address) === SUCCESS
  if (isUsable) return pool
  calls.cuMemPoolDestroy(pool)
  return undefined
}

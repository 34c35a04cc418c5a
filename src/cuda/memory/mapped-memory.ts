/**
 * Page-locked host memory that is mapped for the device block by block. This needs a driver for CUDA 12.2 or later.
 *
 * Unmapping does not wait. `cuMemFreeHost` waits until the context is idle, and blocks the CUDA calls of all other threads
 * meanwhile (measured on an H200, driver 580). A block must never be unmapped while the device may still use it.
 */
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { SUCCESS } from "../api/status.js"

const HOST_NUMA_ID = 134
const HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED = 141

const ALLOCATION_PINNED = 1
const LOCATION_DEVICE = 1
const LOCATION_HOST_NUMA = 3
const READ_AND_WRITE = 3
const GRANULARITY_MINIMUM = 0
const PROPERTIES_BYTES = 32
/** The size of a `CUmemAccessDesc`: a location that may access the memory, and how. */
const ACCESS_BYTES = 12

/** The mapped memory of one device. */
export class MappedMemory {
  readonly #context: CudaContext
  readonly #properties = new CMemory(PROPERTIES_BYTES)
  readonly #accesses = new CMemory(2 * ACCESS_BYTES)
  /** Block sizes are multiples of this. */
  readonly #granularity: number
  /** The size of each block in bytes, by address. */
  readonly #sizes = new Map<number, number>()

  private constructor(context: CudaContext, node: number) {
    this.#context = context
    this.#properties.setInt(0, ALLOCATION_PINNED)
    this.#properties.setInt(8, LOCATION_HOST_NUMA)
    this.#properties.setInt(12, node)
    for (const [index, type, id] of [
      [0, LOCATION_DEVICE, context.device],
      [1, LOCATION_HOST_NUMA, node],
    ] as const) {
      this.#accesses.setInt(index * ACCESS_BYTES, type)
      this.#accesses.setInt(index * ACCESS_BYTES + 4, id)
      this.#accesses.setInt(index * ACCESS_BYTES + 8, READ_AND_WRITE)
    }
    const { calls, out } = context
    const { address } = this.#properties
    const status = calls.cuMemGetAllocationGranularity(out.address, address, GRANULARITY_MINIMUM)
    this.#granularity = status === SUCCESS ? out.number(0) : 0
  }

  /** Undefined if the driver cannot map host memory. */
  static of(context: CudaContext): MappedMemory | undefined {
    const attribute = (which: number): number => {
      const { calls, out } = context
      return calls.cuDeviceGetAttribute(out.address, which, context.device) === SUCCESS ? out.int(0) : -1
    }
    const node = attribute(HOST_NUMA_ID)
    if (node < 0 || attribute(HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) !== 1) return undefined
    const memory = new MappedMemory(context, node)
    return memory.#granularity > 0 ? memory : undefined
  }

  /** @returns undefined if the allocation failed */
  allocate(byteLength: number): number | undefined {
    const size = Math.ceil(byteLength / this.#granularity) * this.#granularity
    const address = this.#context.within(() => this.#allocate(size))
    if (address === undefined) return undefined
    this.#sizes.set(address, size)
    this.#context.holding.add("mapped", address, size)
    return address
  }

  #allocate(size: number): number | undefined {
    const { calls, out } = this.#context
    if (calls.cuMemCreate(out.address, size, this.#properties.address, 0) !== SUCCESS) return undefined
    const handle = out.number(0)
    try {
      if (calls.cuMemAddressReserve(out.address, size, 0, 0, 0) !== SUCCESS) return undefined
      const address = out.number(0)
      if (this.#map(address, size, handle)) return address
      this.#check(calls.cuMemAddressFree(address, size), "cuMemAddressFree")
      return undefined
    } finally {
      // The mapping keeps the memory alive without the handle.
      this.#check(calls.cuMemRelease(handle), "cuMemRelease")
    }
  }

  #map(address: number, size: number, handle: number): boolean {
    const { calls } = this.#context
    if (calls.cuMemMap(address, size, 0, handle, 0) !== SUCCESS) return false
    if (calls.cuMemSetAccess(address, size, this.#accesses.address, 2) === SUCCESS) return true
    this.#check(calls.cuMemUnmap(address, size), "cuMemUnmap")
    return false
  }

  /** Nothing may use the block any more. Never throws: a block that cannot be freed is leaked, with a warning. */
  free(address: number): void {
    const size = this.#sizes.get(address)
    if (size === undefined || this.#context.isLost) return
    this.#sizes.delete(address)
    this.#context.holding.remove(address)
    try {
      unmap(this.#context, address, size)
    } catch (error) {
      this.#context.warnOfLeakBy(asError(error))
    }
  }

  #check(status: number, call: string): void {
    if (status !== SUCCESS) this.#context.warnOfLeak(status, call)
  }
}

/** Unmaps memory that is not in use, on behalf of any device of the process. @throws DeviceLostError */
export function unmap(context: CudaContext, address: number, byteLength: number): void {
  const { calls } = context
  const check = (status: number, call: string): void => {
    if (status !== SUCCESS) context.warnOfLeak(status, call)
  }
  context.within(() => {
    check(calls.cuMemUnmap(address, byteLength), "cuMemUnmap")
    check(calls.cuMemAddressFree(address, byteLength), "cuMemAddressFree")
  })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

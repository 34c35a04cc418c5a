/** The memory of one device, and what moves bytes in it: arrays with their births, pinned memory, uploads, copies and fills. */
import type { StreamHandle } from "../../driver/handles.js"
import type { DriverMemory, MemoryUsage, OrderMark, PinnedMemory, Rows } from "../../driver/memory.js"
import type { DriverStreams } from "../../driver/streams.js"
import type { CudaContext } from "../api/context.js"
import type { Kernels } from "../kernel/kernels.js"
import type { Launcher } from "../kernel/launch.js"
import type { Captures } from "../stream/captures.js"
import type { EventPool } from "../stream/event-pool.js"
import { Births } from "./births.js"
import type { DeviceMemory } from "./device-memory.js"
import { Fills } from "./fill.js"
import { PinnedMemoryOwner, PinnedPool } from "./pinned.js"
import { Uploads } from "./upload.js"

/** What {@link CudaMemory} is made of. */
export interface MemoryParts {
  readonly context: CudaContext
  readonly arrays: DeviceMemory
  readonly streams: DriverStreams
  readonly captures: Captures
  readonly markers: EventPool
  readonly kernels: Kernels
  readonly launcher: Launcher
  /** Frees what else uses device memory, and waits for it. */
  readonly drainOthers: () => void
}

/** See `DriverMemory`. Addresses are CUDA's. */
export class CudaMemory implements DriverMemory {
  readonly pinnedPool: PinnedPool
  /** What JavaScript holds may outlive the device. */
  readonly pinned: PinnedMemoryOwner
  readonly #context: CudaContext
  readonly #arrays: DeviceMemory
  readonly #streams: DriverStreams
  readonly #captures: Captures
  readonly #births: Births
  readonly #uploads: Uploads
  readonly #fills: Fills
  readonly #drainOthers: () => void

  constructor({ context, arrays, streams, captures, markers, kernels, launcher, drainOthers }: MemoryParts) {
    this.#context = context
    this.#arrays = arrays
    this.#streams = streams
    this.#captures = captures
    this.#drainOthers = drainOthers
    this.#births = new Births(context, markers)
    this.pinnedPool = new PinnedPool(context, {
      reclaim: () => this.#uploads.reclaim(),
      reclaimAll: () => this.#uploads.reclaimAll(),
    })
    this.pinned = new PinnedMemoryOwner(this.pinnedPool)
    this.#uploads = new Uploads(context, captures, markers, this.pinnedPool)
    this.#fills = new Fills(context, kernels, launcher)
  }

  get allocatesInOrder(): boolean {
    return this.#arrays.allocatesInOrder
  }

  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow = false,
  ): number {
    this.#context.lastEvent = undefined
    const address = this.#arrays.allocate(byteLength, stream, happensBefore)
    if (contentsFollow || !this.#arrays.isEarly(address)) return address
    try {
      this.#births.note(address, stream)
      return address
    } catch (error) {
      this.#arrays.free(address, stream, undefined)
      throw error
    }
  }

  noteContents(address: number, stream: StreamHandle): void {
    // In a foreign capture, no other stream can wait for the contents.
    if (!this.#captures.isInAnyCapture(stream)) this.#births.note(address, stream)
  }

  orderBehindBirth(address: number, stream: StreamHandle): boolean {
    const event = this.#births.pending(address)
    if (event !== undefined) this.#streams.wait(stream, event)
    return event === undefined
  }

  free(address: number, stream: StreamHandle, mark: OrderMark): void {
    this.#context.lastEvent = undefined
    this.#births.forget(address)
    this.#arrays.free(address, stream, mark)
  }

  drainFrees(): void {
    this.#arrays.drainFrees()
    if (this.pinnedPool.isShort) {
      this.#uploads.drain()
      this.pinnedPool.drain()
    }
    this.#drainOthers()
  }

  noteIdle(stream: StreamHandle): void {
    this.#arrays.noteIdle(stream)
  }

  usage(): MemoryUsage {
    return { ...this.#arrays.usage(), ...this.#context.systemMemory() }
  }

  trim(): void {
    this.#context.checkAlive()
    this.#arrays.releaseIdle()
    this.#uploads.reclaimAll()
    this.pinnedPool.unmapIdle()
  }

  resetPeak(): void {
    this.#arrays.resetPeak()
  }

  allocatePinned(byteLength: number, isStaging = false): PinnedMemory {
    return this.pinned.allocate(byteLength, isStaging)
  }

  freePinned(address: number): void {
    this.pinned.free(address)
  }

  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#context.copy(destination, source, byteLength, stream)
  }

  upload(destination: number, source: Uint8Array, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#uploads.upload(destination, source, stream)
  }

  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#fills.queue(destination, element, count, stream)
  }

  copyRows(destination: Rows, source: Rows, width: number, rows: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#context.copyRows(destination, source, width, rows, stream)
  }

  fillRows(destination: Rows, element: Uint8Array, count: number, rows: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#fills.queueRows(destination, element, count, rows, stream)
  }

  /** All work is over. */
  close(): void {
    this.#arrays.close()
    this.#births.close()
    this.#uploads.close()
  }
}

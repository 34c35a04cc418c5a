import type { DType, TypedArrayOf } from "../../common/dtype/dtype.js"
import type { PinnedMemory } from "../../driver.js"
import type { Device } from "./device.js"
import { copyBetween } from "./arrays.js"
import { DeviceArray } from "./device-array.js"
import { elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import type { PinnedAllocation } from "../memory/pinned-allocation.js"
import { show } from "../../common/show.js"
import { currentStream } from "./current.js"

/**
 * Page-locked host memory: a typed array that the device reads and writes in place. It may be a kernel's argument
 * wherever a device array may.
 *
 * Nothing orders your own reads and writes with the device's: synchronise before you look, and leave alone what queued
 * work still reads. Made by {@link Device.pinned}. In the words of CUDA, `cuMemHostAlloc`.
 */
export class PinnedArray<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D
  /** In elements. */
  readonly length: number
  /** In bytes. */
  readonly byteLength: number
  /** The device that can use it. */
  readonly device: Device
  /** @internal */
  readonly address: number
  /** @internal */
  readonly allocation: PinnedAllocation
  #array: TypedArrayOf<D> | undefined

  /** @internal */
  constructor(device: Device, dtype: D, length: number, memory: PinnedMemory, allocation: PinnedAllocation) {
    this.device = device
    this.dtype = dtype
    this.length = length
    this.byteLength = length * elementsOf(dtype).byteLength
    this.address = memory.address
    this.allocation = allocation
    this.#array = elementsOf(dtype).view(memory.buffer, memory.byteOffset, length)
  }

  /**
   * The memory itself, alive: what the device writes shows here. Its buffer cannot be transferred.
   *
   * Do not keep a clone of it beyond {@link dispose}. On host, what `structuredClone()` and `postMessage()` give is no
   * copy: it reaches the device's shared memory, which belongs to other arrays afterwards. `array.slice()` copies.
   */
  get array(): TypedArrayOf<D> {
    if (this.#array === undefined || this.allocation.disposedByOwner) throw this.#disposedError()
    return this.#array
  }

  /** Has it been disposed of? */
  get disposed(): boolean {
    return this.allocation.disposedByOwner
  }

  /** @internal */
  checkUsable(): void {
    if (this.allocation.disposedByOwner) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    return new DisposedError(`${this.description} was disposed of; use arrays before dispose()`)
  }

  /** @internal What error messages call it. */
  get description(): string {
    return `the pinned ${this.dtype} array of ${this.length} elements on ${this.device.id}`
  }

  /**
   * Queues a copy from the device on the current stream.
   *
   * @param source of this dtype, length and device
   */
  copyFrom(source: DeviceArray<D>): this {
    this.checkUsable()
    if (!(source instanceof DeviceArray)) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `source is ${show(source)}; a pinned array copies from a device array, and its .array is written in place`,
      )
    }
    copyBetween(this, source, currentStream(this.device).state)
    return this
  }

  /**
   * Lets go of the memory. Its pages are freed once queued work is done with them and nothing reaches `.array`'s
   * buffer any more, so that a typed array over it never dangles.
   */
  dispose(): void {
    this.#array = undefined
    this.allocation.disposedByOwner = true
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

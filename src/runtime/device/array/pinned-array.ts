import type { DType, TypedArrayOf } from "../../../common/dtype/dtype.js"
import type { PinnedMemory } from "../../../driver/memory.js"
import type { Device } from "../device.js"
import { copyBetween, inRole } from "./arrays.js"
import { DeviceArray } from "./device-array.js"
import { elementsOf } from "../../../common/dtype/elements.js"
import { mustBe } from "../../../common/check.js"
import { capitalised } from "../../../common/show.js"
import { DisposedError } from "../../../common/errors.js"
import type { PinnedAllocation } from "../../memory/pinned-allocation.js"
import { copyRows, type CopyShape } from "./rows.js"
import { currentStream } from "../current.js"

/**
 * Page-locked host memory: a typed array that the device reads and writes in place. A kernel takes it wherever it takes a
 * device array.
 *
 * The library does not order your own reads and writes with the device's. Wait for the device before you read, and do
 * not write memory that queued work still reads. Made by {@link Device.pinned}. CUDA: `cuMemHostAlloc`. PyTorch:
 * `pin_memory`.
 *
 * @example
 * const staging = device.pinned("float32", x.length)
 * staging.array.fill(1) // no queued work uses it yet
 * x.copyFrom(staging) // until this has run, do not change staging.array
 */
export class PinnedArray<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D
  /** The number of elements. */
  readonly length: number
  /** The size in bytes. */
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
   * The memory itself as a typed array, which shows the device's writes. Its buffer cannot be transferred.
   *
   * Do not use a clone of it after {@link dispose}. On host, `structuredClone()` and `postMessage()` do not copy the array:
   * the clone refers to the device's shared memory, which other arrays use later. `array.slice()` copies.
   *
   * @throws DisposedError
   */
  get array(): TypedArrayOf<D> {
    if (this.#array === undefined || this.allocation.disposedByOwner) throw this.#disposedError()
    return this.#array
  }

  /** Whether the array has been disposed of. */
  get disposed(): boolean {
    return this.allocation.disposedByOwner
  }

  /** @internal Throws if the array has been disposed of. `role` says in the message where it was given. */
  checkUsable(role?: string): void {
    if (this.allocation.disposedByOwner) throw this.#disposedError(role)
  }

  #disposedError(role?: string): DisposedError {
    return new DisposedError(`${capitalised(inRole(this.description, role))} was disposed of. Use it before dispose().`)
  }

  /** @internal The array's description in error messages. */
  get description(): string {
    return `the pinned ${this.dtype} array of ${this.length} elements on ${this.device.id}`
  }

  /**
   * Queues a copy from the device on the current stream. Its elements are in {@link array} once the stream has run the copy.
   *
   * @param source an array of the same dtype, length and device
   * @returns this array
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DTYPE_MISMATCH, AUX_LENGTH_MISMATCH, AUX_DEVICE_MISMATCH, AUX_DISPOSED
   */
  copyFrom(source: DeviceArray<D>): this {
    this.checkUsable()
    this.#checkSource(source)
    copyBetween(this, source, currentStream(this.device).state)
    return this
  }

  /**
   * Queues a copy of rows from the device on the current stream: see {@link DeviceArray.copyFrom2D}.
   *
   * @param source an array of this dtype and device
   * @param shape the rows, in elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH,
   * AUX_DISPOSED
   */
  copyFrom2D(source: DeviceArray<D>, shape: CopyShape): this {
    this.checkUsable()
    this.#checkSource(source)
    copyRows(this, source, shape, currentStream(this.device).state)
    return this
  }

  #checkSource(source: unknown): void {
    if (source instanceof DeviceArray) return
    throw mustBe("source", "a DeviceArray", source, "To copy from host memory, write to the pinned array's .array")
  }

  /**
   * Ends the array; does not wait. Its pages are freed once queued work no longer uses them and the buffer of `.array` is
   * unreachable, so that no typed array ever refers to freed memory.
   */
  dispose(): void {
    this.#array = undefined
    this.allocation.disposedByOwner = true
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

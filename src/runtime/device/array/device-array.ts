import type { DType, ScalarOf, SourceOf, TypedArrayOf } from "../../../common/dtype/dtype.js"
import type { PinnedMemory } from "../../../driver/memory.js"
import { bytesOf, lengthOf } from "../../../common/typed-array.js"
import { attempt, checkCompletionOptions, type CompletionOptions, streamResult } from "../../order/completion.js"
import { checkAttached, checkInteger, mustBe } from "../../../common/check.js"
import { capitalised } from "../../../common/show.js"
import { type Capture, captureOf } from "../../capture/capture.js"
import type { Device } from "../device.js"
import { checkScalar, elementsOf } from "../../../common/dtype/elements.js"
import { DisposedError } from "../../../common/errors.js"
import { queueOperation, queueOverwrite } from "../../capture/operation.js"
import { OperationType } from "../../order/observer/operation.js"
import { IndirectUses } from "../../memory/indirect-uses.js"
import type { ArrayMemory } from "../../memory/used-memory.js"
import { PinnedAllocation } from "../../memory/pinned-allocation.js"
import { checkSameLength, copyBetween, inRole } from "./arrays.js"
import type { PinnedArray } from "./pinned-array.js"
import { copyRows, type CopyShape, fillRows, type RowsShape, uploadRows } from "./rows.js"
import type { Scope } from "./scope.js"
import type { StreamState } from "../../order/stream-state.js"
import { showCall } from "../../order/observer/observers.js"
import { synchronizeStream } from "../../order/synchronize.js"
import { context } from "../context.js"
import { currentStreamIn } from "../current.js"

const upload = new OperationType("upload", "upload", ["overwrite"])
const fill = new OperationType("fill", "fill", ["overwrite"])
const read = new OperationType("read", "read", ["read"])

/** Pinned memory that a read copies to, before the elements are copied to the returned typed array. */
interface Staging {
  readonly memory: PinnedMemory
  readonly allocation: PinnedAllocation
  /** Where the copy is queued. */
  stream: StreamState
}

/**
 * An array in a device's memory, of one dimension and contiguous.
 *
 * Its methods queue their work on the current stream of its device. You may dispose of it at any time: the memory is reused
 * only after every use that was queued before.
 *
 * Made by {@link Device.empty}, {@link Device.zeros}, {@link Device.full}, {@link Device.from} and {@link Device.wrap}.
 * PyTorch: a contiguous `torch.Tensor` of one dimension.
 *
 * @example
 * using y = device.zeros("float32", 256) // disposed of at the end of the block
 * y.subarray(0, 3).copyFrom(Float32Array.of(1, 2, 3))
 * console.log((await y.read())[2]) // 3
 */
export class DeviceArray<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D
  /** The number of elements. */
  readonly length: number
  /** The size in bytes. */
  readonly byteLength: number
  /** The device that holds the array. */
  readonly device: Device
  /** The address of the first element: a device pointer on CUDA, a byte offset into the device's memory on host. */
  readonly address: number
  /** @internal As in a PinnedArray, the next field after the address: so the engine reads both with the same load. */
  readonly allocation: ArrayMemory
  /** @internal The array that owns the memory: this one, or the array of which this is a view. */
  readonly base: DeviceArray<D>
  /** @internal The scope that will dispose of the array. */
  scope: Scope | undefined
  /** Only referenced, never read: keeps the graph alive in which the array was made. */
  protected readonly life: object | undefined
  #disposed = false

  /** @internal */
  constructor(
    device: Device,
    dtype: D,
    length: number,
    allocation: ArrayMemory,
    view?: { base: DeviceArray<D>; address: number },
    life?: object,
  ) {
    this.device = device
    this.dtype = dtype
    this.length = length
    this.byteLength = length * elementsOf(dtype).byteLength
    this.allocation = allocation
    this.address = view?.address ?? allocation.address
    this.base = view?.base ?? this
    this.life = life
  }

  /** Whether the array, the array of which it is a view, or its device has been disposed of. */
  get disposed(): boolean {
    return this.#disposed || this.allocation.disposed || this.device.disposed
  }

  /** @internal Throws if the array has been disposed of. `role` says in the message where it was given. */
  checkUsable(role?: string): void {
    if (this.disposed) throw this.#disposedError(role)
  }

  #disposedError(role: string | undefined): DisposedError {
    const named = inRole(this.description, role)
    const endedWithGraph = this.life !== undefined && !this.#disposed && !this.device.disposed
    return new DisposedError(
      endedWithGraph
        ? `The graph in which ${named} was made has been updated or disposed of. Use graph.result.`
        : `${capitalised(named)} was disposed of. Use it before dispose().`,
    )
  }

  /** @internal The array's description in error messages. */
  get description(): string {
    return `the ${this.dtype} array of ${this.length} elements on ${this.device.id}`
  }

  /**
   * A view of the same memory, from element `begin` up to, but not including, element `end`. Disposing of the view frees
   * nothing.
   *
   * @param begin an index from 0 to `length`
   * @param end an index from `begin` to `length`; default: `length`
   * @throws AuxstreamError AUX_OUT_OF_RANGE (indices are not clamped), AUX_DISPOSED
   */
  subarray(begin: number, end: number = this.length): DeviceArray<D> {
    this.checkUsable()
    checkInteger(begin, "begin", 0, this.length)
    checkInteger(end, "end", begin, this.length)
    const address = this.address + begin * elementsOf(this.dtype).byteLength
    return new DeviceArray(this.device, this.dtype, end - begin, this.allocation, { base: this.base, address })
  }

  /**
   * Queues a copy into this array on the current stream. A typed array is read before the call returns. A pinned array is
   * read when the stream runs the copy, so do not change it until then. CUDA: `cuMemcpyAsync`. PyTorch: `copy_`.
   *
   * @param source an array of the same dtype and length; a device array or pinned array must be on the same device
   * @returns this array
   * @throws AuxstreamError AUX_DTYPE_MISMATCH, AUX_LENGTH_MISMATCH, AUX_DEVICE_MISMATCH, AUX_INVALID_ARGUMENT if the two
   * overlap, AUX_DISPOSED, OutOfMemoryError
   */
  copyFrom(source: SourceOf<D> | PinnedArray<D> | DeviceArray<D>): this {
    this.checkUsable()
    const stream = currentStreamIn(context(), this.device).state
    if (source instanceof DeviceArray || isPinned(source)) copyBetween(this, source, stream)
    else this.#upload(source, stream, false)
    return this
  }

  /**
   * Queues a copy of rows into this array on the current stream: `height` rows of `width` elements. A row begins `pitch`
   * elements after the previous one here, and `sourcePitch` elements after it in the source. The first row begins at the
   * first element of each array; use `subarray()` for another place. Rows of the two may alternate in memory, but not
   * overlap. CUDA: `cuMemcpy2DAsync`, with pitches in elements instead of bytes.
   *
   * @param source an array of the same dtype, with all the rows
   * @param shape the rows, in elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH,
   * AUX_DISPOSED; OutOfMemoryError
   * @example
   * // The left half of each row of a matrix with 8 columns.
   * left.copyFrom2D(matrix, { width: 4, height: rows, sourcePitch: 8 })
   */
  copyFrom2D(source: SourceOf<D> | PinnedArray<D> | DeviceArray<D>, shape: CopyShape): this {
    this.checkUsable()
    const stream = currentStreamIn(context(), this.device).state
    if (source instanceof DeviceArray || isPinned(source)) copyRows(this, source, shape, stream)
    else {
      this.#checkSource(source)
      uploadRows(this, bytesOf(source), lengthOf(source), shape, stream)
    }
    return this
  }

  /**
   * @internal The first contents, on the current stream. No observer may choose another, as the array begins there, unless a
   * region orders all of its uses.
   */
  copyFirst(source: SourceOf<D>): void {
    this.#upload(source, currentStreamIn(context(), this.device).state, !this.allocation.isPlaced)
  }

  #checkSource(source: SourceOf<D>): void {
    if (!elementsOf(this.dtype).holds(source)) {
      const typedArray = elementsOf(this.dtype).create(0).constructor.name
      const allowed = `a ${typedArray}, a DeviceArray or a PinnedArray to be copied to ${this.description}`
      throw mustBe("source", allowed, source, undefined, "AUX_DTYPE_MISMATCH")
    }
    checkAttached(source, "source")
  }

  #upload(source: SourceOf<D>, stream: StreamState, isStreamNamed: boolean): void {
    this.#checkSource(source)
    checkSameLength(this.length, lengthOf(source))
    if (this.length === 0) return
    queueOverwrite(stream, upload, this, isStreamNamed, (target) => {
      const capture = captureOf(target)
      if (capture !== undefined) this.#captureUpload(bytesOf(source), target, capture)
      else target.order.allocate(() => this.device.driver.memory.upload(this.address, bytesOf(source), target.handle))
    })
  }

  /** In a capture, the graph keeps a copy of the typed array as it is now, and each launch copies from there. */
  #captureUpload(source: Uint8Array, { order, handle }: StreamState, capture: Capture): void {
    const { driver } = this.device
    const memory = order.allocate(() => driver.memory.allocatePinned(source.length, true))
    capture.memory.pinned.push(memory.address)
    new Uint8Array(memory.buffer, memory.byteOffset, source.length).set(source)
    driver.memory.copy(this.address, memory.address, this.byteLength, handle)
  }

  /**
   * Queues a fill with one value on the current stream. CUDA: `cuMemsetD32Async` and its like. PyTorch: `fill_`.
   *
   * @param value a number within the range of the dtype; a bigint is allowed for 64-bit integers
   * @returns this array
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DISPOSED
   */
  fill(value: ScalarOf<D>): this {
    this.checkUsable()
    checkScalar(this.dtype, value, "value")
    this.fillChecked(value)
    return this
  }

  /**
   * Queues a fill of rows on the current stream: `height` rows of `width` elements. A row begins `pitch` elements after the
   * previous one. CUDA: `cuMemsetD2D32Async` and its like, with the pitch in elements instead of bytes.
   *
   * @param value as for {@link fill}
   * @param shape the rows, in elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED
   */
  fill2D(value: ScalarOf<D>, shape: RowsShape): this {
    this.checkUsable()
    checkScalar(this.dtype, value, "value")
    fillRows(this, value, shape, currentStreamIn(context(), this.device).state)
    return this
  }

  /**
   * @internal Like {@link fill}, with a value that has been checked.
   *
   * @param isFirst whether these are the first contents: see {@link copyFirst}
   */
  fillChecked(value: number | bigint, isFirst = false): void {
    if (this.length === 0) return
    const stream = currentStreamIn(context(), this.device).state
    queueOverwrite(stream, fill, this, isFirst, ({ handle }) => {
      this.device.driver.memory.fill(this.address, elementsOf(this.dtype).encode(value), this.length, handle)
    })
  }

  /**
   * Reads the elements after everything queued on the current stream so far. Does not block the event loop. PyTorch:
   * `tensor.cpu()`.
   *
   * @param options a signal that ends the wait
   * @param options.signal rejects the promise with its reason; if it has already aborted, nothing is queued
   * @returns a promise of a new typed array; `float16` and `bfloat16` come as bit patterns, see `toFloat32`
   * @throws (as a rejection) AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING inside a capture, OutOfMemoryError; on a
   * broken stream the error that broke it
   * @example
   * const values = await x.read()
   */
  read(options: CompletionOptions = {}): Promise<TypedArrayOf<D, ArrayBuffer>> {
    return showCall("read", () => attempt(() => this.#read(options)))
  }

  #read(options: CompletionOptions): Promise<TypedArrayOf<D, ArrayBuffer>> {
    checkCompletionOptions(options)
    this.checkUsable()
    options.signal?.throwIfAborted()
    const stream = currentStreamIn(context(), this.device).state
    const staging = this.#queueRead(stream)
    const release = () => this.#release(staging)
    const elements = streamResult(staging?.stream ?? stream, options, () => this.#take(staging))
    elements.then(release, release)
    return elements
  }

  /**
   * Like {@link read}, but blocks the calling thread and throws instead of rejecting.
   *
   * @throws the same errors as {@link read}
   */
  readSync(): TypedArrayOf<D, ArrayBuffer> {
    return showCall("read", () => this.#readSync())
  }

  #readSync(): TypedArrayOf<D, ArrayBuffer> {
    this.checkUsable()
    const stream = currentStreamIn(context(), this.device).state
    const staging = this.#queueRead(stream)
    try {
      synchronizeStream(staging?.stream ?? stream)
      return this.#take(staging)
    } finally {
      this.#release(staging)
    }
  }

  #queueRead(stream: StreamState): Staging | undefined {
    stream.enter()
    stream.order.captures.checkLook(stream.capture, this.description, "be read")
    if (this.length === 0) return undefined
    const { driver } = this.device
    const memory = stream.order.allocate(() => driver.memory.allocatePinned(this.byteLength, true))
    const staging: Staging = { memory, allocation: new PinnedAllocation(stream.order, memory), stream }
    const scratch = new IndirectUses()
    scratch.add({ allocation: staging.allocation, address: memory.address, byteLength: this.byteLength }, "overwrite")
    try {
      staging.stream = queueOperation(stream, read, [this], false, ({ handle }) => {
        driver.memory.copy(memory.address, this.address, this.byteLength, handle)
        return scratch
      })
    } catch (error) {
      this.#release(staging)
      throw error
    }
    return staging
  }

  #take(staging: Staging | undefined): TypedArrayOf<D, ArrayBuffer> {
    const result = elementsOf(this.dtype).create(this.length)
    if (staging !== undefined) {
      const { buffer, byteOffset } = staging.memory
      bytesOf(result).set(new Uint8Array(buffer, byteOffset, this.byteLength))
    }
    return result
  }

  #release(staging: Staging | undefined): void {
    staging?.allocation.dispose()
  }

  /**
   * Frees the memory after every use that was queued before; does not wait. Disposing of an array ends its views. Disposing
   * of a view frees nothing. CUDA: `cuMemFreeAsync`.
   */
  dispose(): void {
    this.#disposed = true
    if (this.base !== this) return
    this.scope?.forget(this)
    this.scope = undefined
    this.device.arrays.dispose(this.allocation)
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Whether the value is a PinnedArray. This file cannot import that class, because the class imports this file. */
function isPinned(value: unknown): value is PinnedArray {
  return (
    typeof value === "object" && value !== null && "allocation" in value && value.allocation instanceof PinnedAllocation
  )
}

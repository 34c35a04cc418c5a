import type { DType, ScalarOf, SourceOf, TypedArrayOf } from "../../common/dtype/dtype.js"
import type { PinnedMemory } from "../../driver.js"
import { bytesOf, lengthOf } from "../../common/typed-array.js"
import { attempt, checkCompletionOptions, type CompletionOptions, streamResult } from "../order/completion.js"
import { checkInteger } from "../../common/check.js"
import { type Capture, captureOf } from "../capture/capture.js"
import type { Device } from "./device.js"
import { checkScalar, elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import { queueOverwrite } from "../capture/operation.js"
import type { ArrayMemory } from "../memory/used-memory.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import { checkSameLength, copyBetween } from "./arrays.js"
import type { PinnedArray } from "./pinned-array.js"
import type { Scope } from "./scope.js"
import { show } from "../../common/show.js"
import type { StreamState } from "../order/stream-state.js"
import { currentStream } from "./current.js"

/** Where a read's elements go, until they have been copied to the caller's own memory. */
interface Staging {
  readonly memory: PinnedMemory
  readonly allocation: PinnedAllocation
}

/**
 * An array in a device's memory.
 *
 * Everything done with it is queued on the current stream of its device. It can be disposed of at any time: the memory
 * is given back behind every use that has been queued.
 *
 * Made by {@link Device.empty}, {@link Device.from} and their like. In the words of PyTorch, a contiguous tensor of
 * one dimension.
 */
export class DeviceArray<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D
  /** In elements. */
  readonly length: number
  /** In bytes. */
  readonly byteLength: number
  /** Where it is. */
  readonly device: Device
  /** On the device; on host, bytes from the start of the device's memory. */
  readonly address: number
  /** @internal The array that owns the memory: itself, or what it is a view of. */
  readonly base: DeviceArray<D>
  /** @internal */
  readonly allocation: ArrayMemory
  /** @internal The scope that it is to be disposed of with. */
  scope: Scope | undefined
  /** Only held: what keeps the graph that the array was made in. */
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

  /** Has it, the array that it is a view of, or its device been disposed of? */
  get disposed(): boolean {
    return this.#disposed || this.allocation.disposed || this.device.disposed
  }

  /** @internal Refuses the use of memory that has been given back. */
  checkUsable(): void {
    if (this.disposed) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    const endedWithGraph = this.life !== undefined && !this.#disposed && !this.device.disposed
    return new DisposedError(
      endedWithGraph
        ? `${this.description} ended with the graph that it was made in, which was disposed of or updated; use graph.result`
        : `${this.description} was disposed of; use arrays before dispose()`,
    )
  }

  /** @internal What error messages call it. */
  get description(): string {
    return `the ${this.dtype} array of ${this.length} elements on ${this.device.id}`
  }

  /**
   * A view of the same memory, from element `begin` up to but without element `end`.
   *
   * @param begin from 0 to `length`
   * @param end from `begin` to `length`; the array's end unless given
   * @throws AuxstreamError AUX_OUT_OF_RANGE: nothing is clamped
   */
  subarray(begin: number, end: number = this.length): DeviceArray<D> {
    this.checkUsable()
    checkInteger(begin, "begin", 0, this.length)
    checkInteger(end, "end", begin, this.length)
    const address = this.address + begin * elementsOf(this.dtype).byteLength
    return new DeviceArray(this.device, this.dtype, end - begin, this.allocation, { base: this.base, address })
  }

  /**
   * Queues a copy into this array on the current stream. When it returns, a typed array has been read; a pinned array
   * is read when the stream gets there, so leave it alone until then.
   *
   * @param source of this dtype and length
   */
  copyFrom(source: SourceOf<D> | PinnedArray<D> | DeviceArray<D>): this {
    this.checkUsable()
    const stream = currentStream(this.device).state
    if (source instanceof DeviceArray || isPinned(source)) copyBetween(this, source, stream)
    else this.#upload(source, stream)
    return this
  }

  #upload(source: SourceOf<D>, stream: StreamState): void {
    if (!elementsOf(this.dtype).holds(source)) {
      throw new AuxstreamError(
        "AUX_DTYPE_MISMATCH",
        `source is ${show(source)}; ${this.description} copies from a ${elementsOf(this.dtype).create(0).constructor.name}, ` +
          "a pinned array or a device array of its dtype",
      )
    }
    checkSameLength(this.length, lengthOf(source))
    if (this.length === 0) return
    const capture = captureOf(stream)
    if (capture !== undefined) return this.#captureUpload(bytesOf(source), stream, capture)
    queueOverwrite(stream, "upload", this, undefined, () => {
      stream.order.allocate(() => this.device.driver.upload(this.address, bytesOf(source), stream.handle))
    })
  }

  /** A graph copies what the host's data is now, each time, from memory of its own. */
  #captureUpload(source: Uint8Array, stream: StreamState, capture: Capture): void {
    const { driver } = this.device
    stream.enter()
    const memory = stream.order.allocate(() => driver.allocatePinned(source.length))
    capture.memory.pinned.push(memory.address)
    new Uint8Array(memory.buffer, memory.byteOffset, source.length).set(source)
    queueOverwrite(stream, "upload", this, undefined, () => {
      driver.copy(this.address, memory.address, this.byteLength, stream.handle)
    })
  }

  /** Queues a fill with one value on the current stream. */
  fill(value: ScalarOf<D>): this {
    this.checkUsable()
    checkScalar(this.dtype, value, "value")
    return this.fillChecked(value)
  }

  /** @internal A fill with a value that is known to be one of the dtype. */
  fillChecked(value: number | bigint): this {
    if (this.length === 0) return this
    const stream = currentStream(this.device).state
    const element = elementsOf(this.dtype).encode(value)
    queueOverwrite(stream, "fill", this, undefined, () => {
      this.device.driver.fill(this.address, element, this.length, stream.handle)
    })
    return this
  }

  /**
   * The elements, once the work queued on the current stream so far is done. Work queued later is not seen. Does not
   * block the event loop.
   *
   * @param options.signal rejects the promise with its reason; one that has aborted already queues nothing
   */
  read(options: CompletionOptions = {}): Promise<TypedArrayOf<D, ArrayBuffer>> {
    return attempt(() => {
      checkCompletionOptions(options)
      this.checkUsable()
      options.signal?.throwIfAborted()
      const stream = currentStream(this.device).state
      const staging = this.#queueRead(stream)
      const giveBack = () => this.#giveBack(staging)
      const elements = streamResult(stream, options, () => this.#take(staging))
      elements.then(giveBack, giveBack)
      return elements
    })
  }

  /** The same, blocking the calling thread. */
  readSync(): TypedArrayOf<D, ArrayBuffer> {
    this.checkUsable()
    const stream = currentStream(this.device).state
    const staging = this.#queueRead(stream)
    try {
      this.device.order.synchronizeStream(stream)
      return this.#take(staging)
    } finally {
      this.#giveBack(staging)
    }
  }

  #queueRead(stream: StreamState): Staging | undefined {
    stream.enter()
    stream.order.captures.checkLook(stream.capture, this.description, "be read")
    if (this.length === 0) return undefined
    const { driver } = this.device
    const memory = stream.order.allocate(() => driver.allocatePinned(this.byteLength))
    const staging: Staging = { memory, allocation: new PinnedAllocation(stream.order, memory) }
    try {
      const copied = { allocation: staging.allocation, address: memory.address, byteLength: this.byteLength }
      queueOverwrite(stream, "read", copied, this, () => {
        driver.copy(memory.address, this.address, this.byteLength, stream.handle)
      })
    } catch (error) {
      this.#giveBack(staging)
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

  #giveBack(staging: Staging | undefined): void {
    staging?.allocation.dispose()
  }

  /**
   * Gives the memory back, behind every use that has been queued, without waiting for any. Disposing of a view gives
   * nothing back; disposing of an array ends its views.
   */
  dispose(): void {
    this.#disposed = true
    if (this.base !== this) return
    this.scope?.forget(this)
    this.scope = undefined
    this.device.disposeMemory(this.allocation)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** A pinned array is known by its allocation: its class imports this file. */
function isPinned(value: unknown): value is PinnedArray {
  return (
    typeof value === "object" && value !== null && "allocation" in value && value.allocation instanceof PinnedAllocation
  )
}

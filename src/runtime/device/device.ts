import type { DeviceProperties } from "../../common/facts/device-properties.js"
import type { DType, DTypeOf, Float16Elements, ScalarOf, SourceOf, TypedArray } from "../../common/dtype/dtype.js"
import type { DeviceId } from "../../driver/backend.js"
import type { Driver } from "../../driver/driver.js"
import type { KernelHandle } from "../../driver/handles.js"
import type { MemoryUsage } from "../../driver/memory.js"
import { OwnedResources } from "../memory/owned/resources.js"
import { checkFunction } from "../../common/check.js"
import { type CompletionOptions, deviceCompletion } from "../order/completion.js"
import { captureContext, context, runIn } from "./context.js"
import { ArrayFactory } from "./array/array-factory.js"
import type { DeviceArray } from "./array/device-array.js"
import { DeviceStreams, type StreamOptions } from "./device-streams.js"
import { dtypeOf } from "../../common/dtype/elements.js"
import { DisposedError } from "../../common/errors.js"
import type { LoadableFile, LoadOptions } from "../load/load-options.js"
import { DeviceEvents, type EventOptions } from "./device-events.js"
import type { Event } from "./event.js"
import { DeviceOrder } from "../order/device-order.js"
import type { PinnedArray } from "./array/pinned-array.js"
import type { GraphState } from "../capture/graph-state.js"
import { showCall } from "../order/observer/observers.js"
import { synchronizeDevice } from "../order/synchronize.js"
import { type PrepareOptions, preparedNeeds } from "./prepare-options.js"
import { Scope } from "./array/scope.js"
import type { Stream } from "./stream.js"
import { StreamPool } from "./stream-pool.js"

/**
 * A GPU, or the host device, which runs kernels on worker threads. It has the streams, events, arrays and graphs that you
 * make with its methods.
 *
 * Opened by {@link openDevice}. Use a device and everything made from it only in the thread that opened it. PyTorch:
 * `torch.device`. CUDA: a `CUdevice` with its primary context.
 */
export class Device {
  /** The name for {@link openDevice}: `"host"`, `"cuda:0"`, `"cuda:1"` and so on. */
  readonly id: DeviceId
  /** The kind of device. */
  readonly kind: "cuda" | "host"
  /** The vendor's name of the device, such as `"NVIDIA H200"`. */
  readonly name: string
  /** @internal */
  readonly driver: Driver
  /** @internal */
  readonly order: DeviceOrder
  /** @internal The kernels that are loaded here. Each kernel has an index of its own. */
  readonly kernels: (KernelHandle | undefined)[] = []
  /** @internal */
  readonly streams: DeviceStreams
  /** @internal */
  readonly events: DeviceEvents
  /** @internal */
  readonly arrays: ArrayFactory
  /** @internal The streams for forks that name none. */
  readonly pool: StreamPool
  readonly #whenClosed: () => void
  readonly #graphs = new OwnedResources<GraphState>("Graph")
  #references = 1

  /** @internal */
  constructor(id: DeviceId, driver: Driver, whenClosed: () => void) {
    this.id = id
    this.kind = driver.kind
    this.name = driver.name
    this.driver = driver
    this.order = new DeviceOrder(driver, captureContext)
    this.streams = new DeviceStreams(this)
    this.events = new DeviceEvents(this)
    this.arrays = new ArrayFactory(this)
    this.pool = new StreamPool(this)
    this.#whenClosed = whenClosed
  }

  /** Whether the device has been disposed of. */
  get disposed(): boolean {
    return this.order.closed
  }

  /** @internal */
  retain(): void {
    this.#references += 1
  }

  /** @internal Throws if the device is closed. */
  checkUsable(): void {
    if (this.order.closed) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    return new DisposedError(
      `Device ${this.id} was disposed of, and with it everything made from it. Open it again with openDevice().`,
    )
  }

  /**
   * The stream that receives work if no other stream is current: a non-blocking stream, never CUDA's legacy default stream.
   *
   * It is replaced by a new stream once it has been disposed of, or once a kernel has broken it and its error has been
   * thrown or has rejected a promise. A reference to the broken stream keeps throwing its error.
   *
   * @throws DisposedError
   */
  get defaultStream(): Stream {
    return this.streams.default
  }

  /**
   * Creates a stream. Nothing orders it with other streams. CUDA: `cuStreamCreateWithPriority`.
   *
   * @param options its priority and its name
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED; OutOfMemoryError, CudaError
   * @example
   * const aux = device.createStream({ name: "aux", priority: -1 })
   */
  createStream(options: StreamOptions = {}): Stream {
    return this.streams.create(options)
  }

  /**
   * A stream that another library created, to queue work on and to order work with. The library never destroys it; dispose
   * of it before its owner destroys it. The same handle returns the same Stream. PyTorch: `torch.cuda.ExternalStream`.
   *
   * @param handle the handle in the device's own library (`CUstream`); not one of CUDA's default streams (0, 1, 2). On
   * the host device, only handles of its own streams are valid
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED
   */
  streamFromHandle(handle: bigint): Stream {
    return this.streams.adopt(handle)
  }

  /**
   * Creates an event, not recorded yet. CUDA: `cuEventCreate`.
   *
   * @param options whether it measures times, and its name
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DISPOSED
   */
  createEvent(options: EventOptions = {}): Event {
    return this.events.create(options)
  }

  /**
   * Creates an array without initialising its elements. The memory is allocated in the order of the current stream. Inside
   * a capture, the array belongs to the graph. PyTorch: `torch.empty`. CUDA: `cuMemAllocAsync`.
   *
   * @param dtype the type of the elements
   * @param length the number of elements; 0 is allowed
   * @throws OutOfMemoryError if the device has too little memory even after all pending frees; AuxstreamError
   * AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED
   */
  empty<D extends DType>(dtype: D, length: number): DeviceArray<D> {
    return this.arrays.empty(dtype, length)
  }

  /**
   * Creates an array of zeros, filled on the current stream. PyTorch: `torch.zeros`.
   *
   * @param dtype the type of the elements
   * @param length the number of elements; 0 is allowed
   * @throws the same errors as {@link empty}
   */
  zeros<D extends DType>(dtype: D, length: number): DeviceArray<D> {
    return this.arrays.full(dtype, length, 0)
  }

  /**
   * Creates an array and fills it with one value on the current stream. PyTorch: `torch.full`.
   *
   * @param dtype the type of the elements
   * @param length the number of elements; 0 is allowed
   * @param value a number within the range of the dtype; a bigint is allowed for 64-bit integers
   * @throws the same errors as {@link empty}
   */
  full<D extends DType>(dtype: D, length: number, value: ScalarOf<D>): DeviceArray<D> {
    return this.arrays.full(dtype, length, value)
  }

  /**
   * Creates an array with the elements of a typed array. The copy is queued on the current stream; the typed array is read
   * before the call returns. PyTorch: `torch.from_numpy(x).cuda()`.
   *
   * @param source a typed array, whose type determines the dtype
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DTYPE_MISMATCH, AUX_DISPOSED; OutOfMemoryError
   * @example
   * const x = device.from(new Float32Array([1, 2, 3]))
   */
  from<A extends TypedArray | Float16Elements>(source: A): DeviceArray<DTypeOf<A>>
  /**
   * The same with a named dtype, for the types that JavaScript keeps as bit patterns.
   *
   * @param source a typed array; a `Uint16Array` may hold the bit patterns of `"float16"` or `"bfloat16"`, a `Uint8Array`
   * those of `"float8_e4m3fn"`
   * @param dtype the type of the elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DTYPE_MISMATCH, AUX_DISPOSED; OutOfMemoryError
   * @example
   * const half = device.from(fromFloat32([0.5, 1], "float16"), "float16")
   */
  from<D extends DType>(source: SourceOf<D>, dtype: D): DeviceArray<D>
  from(source: SourceOf<DType>, dtype: DType | undefined = dtypeOf(source)): DeviceArray {
    return this.arrays.from(source, dtype)
  }

  /**
   * Creates an array in page-locked host memory, zeroed, which the device reads and writes in place. CUDA:
   * `cuMemHostAlloc`.
   *
   * @param dtype the type of the elements
   * @param length the number of elements; 0 is allowed
   * @throws the same errors as {@link empty}
   */
  pinned<D extends DType>(dtype: D, length: number): PinnedArray<D> {
    return this.arrays.pinned(dtype, length)
  }

  /**
   * Loads a part of a file into a new array, for example model weights. On CUDA, all loads of the device share a few pinned
   * buffers, so that no second copy of the array is ever in memory. On host, the file is usually read directly into the
   * array.
   *
   * The array is allocated, and its contents are copied, in the order of the current stream. The promise resolves once all
   * bytes have been read and the last copy is queued; then you can use the array on any stream. If earlier work on the
   * stream delays the copies, the promise waits for it. Does not block the event loop.
   *
   * @param file a path, a `file:` URL, or an open `FileHandle`, which stays open
   * @param options the part of the file, and the dtype
   * @param options.dtype the dtype of the array; the file's bytes are little-endian
   * @param options.length the number of elements; default: up to the file's end
   * @param options.offset where the first element begins in the file, in bytes; default: 0
   * @param options.signal ends the load; the promise rejects with its reason
   * @throws (as a rejection) AuxstreamError AUX_FILE_FAILED if the file cannot be opened or read, AUX_OUT_OF_RANGE if it is
   * too short, AUX_INVALID_ARGUMENT, AUX_STREAM_CAPTURING inside a capture, AUX_DISPOSED; OutOfMemoryError. Nothing is left
   * behind.
   * @example
   * const weights = await device.load("model.safetensors", { dtype: "bfloat16", offset: 4096, length: 2048 * 2816 })
   */
  load<D extends DType>(file: LoadableFile, options: LoadOptions<D>): Promise<DeviceArray<D>> {
    return this.arrays.load(file, options)
  }

  /**
   * Makes an array of memory that another library owns. The library never frees it. Wrap memory once, because the
   * library does not connect arrays made by two calls: a failed write to one does not make the other unusable. Use
   * {@link DeviceArray.subarray} for parts.
   *
   * @param address the device address, a multiple of the element's size
   * @param dtype the type of the elements
   * @param length the number of elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED
   */
  wrap<D extends DType>(address: number, dtype: D, length: number): DeviceArray<D> {
    return this.arrays.wrap(address, dtype, length)
  }

  /**
   * Runs a function, and then disposes of every array that it made on this device, except those reachable from its result:
   * through objects, arrays, maps, sets, and the results of forks and graphs. If the function is async, the scope ends when
   * its promise settles. If the result contains an async fork, the scope ends when that settles.
   *
   * @param fn makes the arrays; sync or async
   * @returns what the function returns
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DISPOSED; what the function throws
   * @example
   * const sum = device.scope(() => {
   *   const left = multiply(a, b)        // disposed of at the end
   *   return add(left, c)                // kept
   * })
   */
  scope<T>(fn: () => T): T
  scope(fn: () => unknown): unknown {
    checkFunction(fn, "fn")
    this.checkUsable()
    const scope = new Scope(this, context().scope)
    return runIn(context().withScope(scope), () => scope.endAfter(fn))
  }

  /**
   * Loads code and reserves memory in advance. A CUDA device otherwise does this at first use, when CUDA must wait for all
   * queued work. The promise resolves once that is done; it waits for queued work without blocking the event loop. The
   * host device needs no preparation. To load a kernel, use {@link Kernel.prepare}.
   *
   * @param options what to prepare; by default, conditionals
   * @throws (as a rejection) AuxstreamError AUX_NOT_READY if queued work does not finish within seconds,
   * AUX_DEVICE_UNAVAILABLE if the driver has no conditionals, AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE; OutOfMemoryError
   * @example
   * await device.prepare() // for runIf and runWhile
   * await device.prepare({ localMemory: 16 * 1024 }) // for kernels that recurse
   * await device.prepare({ streams: 200 }) // for a server where each request has its own streams
   */
  async prepare(options: PrepareOptions = { conditionals: true }): Promise<void> {
    const needs = preparedNeeds(options)
    this.checkUsable()
    await this.driver.prepare(needs)
  }

  /**
   * The device's hardware and limits: multiprocessors, caches, memory. A frozen object that never changes. CUDA:
   * `cuDeviceGetAttribute`. PyTorch: `torch.cuda.get_device_properties`.
   *
   * @throws DisposedError
   */
  get properties(): DeviceProperties {
    this.checkUsable()
    return this.driver.properties
  }

  /**
   * Device memory in bytes: used by arrays, reserved from the system, the peak of the former, free for any process, and in
   * total. On host, `free` is the number of bytes by which the device's memory can still grow. Each call asks the system.
   * CUDA: `cuMemGetInfo`. PyTorch: `torch.cuda.memory_stats`, `torch.cuda.mem_get_info`.
   *
   * @throws DisposedError
   */
  get memory(): MemoryUsage {
    this.checkUsable()
    return this.driver.memory.usage()
  }

  /**
   * Sets `memory.peak` to the bytes that are in use now. PyTorch: `torch.cuda.reset_peak_memory_stats`.
   *
   * @throws DisposedError
   */
  resetPeakMemory(): void {
    this.checkUsable()
    this.driver.memory.resetPeak()
  }

  /**
   * Returns unused reserved memory to the system, pinned memory included. Does not wait: memory that queued work may still
   * use stays reserved, so call {@link synchronize} before to return everything. On host this does nothing, because a
   * WebAssembly memory cannot shrink. PyTorch: `torch.cuda.empty_cache`. CUDA: `cuMemPoolTrimTo`.
   *
   * @throws DisposedError
   */
  trim(): void {
    this.checkUsable()
    this.arrays.staging.trim()
    this.order.deferredReleases.sweep()
    this.driver.memory.trim()
  }

  /**
   * Blocks the calling thread until everything queued on the device is done. CUDA: `cuCtxSynchronize`.
   *
   * @throws AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING inside a capture, AUX_DEVICE_LOST
   */
  synchronize(): void {
    this.checkUsable()
    this.order.named()
    this.order.captures.checkOutside(this.id, "be synchronised")
    showCall("synchronize", () => synchronizeDevice(this.order))
  }

  /**
   * Resolves once everything queued on the device so far is done. Does not block the event loop. Keeps the process alive.
   *
   * @param options a signal that ends the wait
   * @param options.signal rejects the promise with its reason; the queued work continues
   * @throws (as a rejection) KernelError or DeviceLostError if the work failed; AuxstreamError AUX_INVALID_ARGUMENT,
   * AUX_STREAM_CAPTURING, AUX_DISPOSED
   */
  async completed(options: CompletionOptions = {}): Promise<void> {
    this.checkUsable()
    this.order.named()
    await showCall("completed", () => deviceCompletion(this.order, options))
  }

  /**
   * @internal The graph is released when `life` is garbage-collected. The Graph and the arrays made inside it refer to
   * `life`.
   */
  watchGraph(life: object, state: GraphState): void {
    this.#graphs.add(life, state)
  }

  /** @internal */
  disposeGraph(state: GraphState): void {
    this.#graphs.dispose(state)
  }

  /**
   * Releases one reference; each `openDevice()` adds one. The last one closes the device and disposes of everything made
   * from it. Queued work still finishes; the call does not wait for it.
   */
  dispose(): void {
    if (this.order.closed || --this.#references > 0) return
    this.#whenClosed()
    this.order.captures.cancelAll()
    this.pool.close()
    this.events.disposeAll()
    const unseen = this.order.close()
    this.arrays.disposeAll()
    this.#graphs.disposeAll()
    this.streams.clear()
    this.driver.close(unseen)
    this.order.deferredReleases.close()
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

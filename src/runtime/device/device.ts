import type { DeviceProperties } from "../../common/device-properties.js"
import type { DType, DTypeOf, Float16Elements, ScalarOf, SourceOf, TypedArray } from "../../common/dtype/dtype.js"
import type { DeviceId, Driver, KernelHandle, MemoryUsage } from "../../driver.js"
import { bytesOf, lengthOf } from "../../common/typed-array.js"
import { Allocation } from "../memory/allocation.js"
import { OwnedResources } from "../memory/resources.js"
import { checkBoolean, checkFunction, checkInteger, checkName, checkOptions, mustBe } from "../../common/check.js"
import { type CompletionOptions, deviceCompletion } from "../order/completion.js"
import { captureContext, context, runIn } from "./context.js"
import { DeviceArray } from "./device-array.js"
import { checkDType, checkScalar, dtypeOf, elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import { Event } from "./event.js"
import { EventState } from "../order/event-state.js"
import { ForgottenWatch } from "../memory/forgotten.js"
import { DeviceOrder } from "../order/device-order.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import { PinnedArray } from "./pinned-array.js"
import { PinnedResources } from "../memory/pinned-resources.js"
import { captureOf } from "../capture/capture.js"
import type { GraphState } from "../capture/graph-state.js"
import type { ArrayMemory } from "../memory/used-memory.js"
import { Scope, scopeOf } from "./scope.js"
import { SharedHandles } from "./shared-handles.js"
import { currentStream } from "./current.js"
import { Stream } from "./stream.js"
import type { StreamState } from "../order/stream-state.js"
import { StreamPool } from "./stream-pool.js"
import { wasTold } from "../order/told-failures.js"

/** Options of {@link Device.createStream}. */
export interface StreamOptions {
  /** An integer from the device's highest priority, which is the smallest number (-5 on most GPUs), to 0, the lowest. Default: 0. */
  readonly priority?: number | undefined
  /** The stream's name in errors, graphs and traces. */
  readonly name?: string | undefined
}

/** Options of {@link Device.prepare}. */
export interface PrepareOptions {
  /** Whether to load what `runIf` and `runWhile` need. Default: true if you pass no options, otherwise false. */
  readonly conditionals?: boolean | undefined
  /**
   * Bytes of local memory for each thread: its stack, and arrays that do not fit into registers. Loading a kernel reserves
   * what its code declares, so you need this only for kernels that recurse and for other libraries' kernels. The device
   * reserves this many bytes for every thread that it can run at a time: with 16 KiB, an H200 reserves 4 GB.
   */
  readonly localMemory?: number | undefined
  /** The number of streams that the program will have at a time, including those of the pool (at most 128). */
  readonly streams?: number | undefined
}

const MOST_STREAMS = 4096
/** CUDA's limit, in bytes per thread. */
const MOST_LOCAL_MEMORY = 512 * 1024

/** Options of {@link Device.createEvent}. */
export interface EventOptions {
  /** Whether the event measures time, for {@link Event.elapsedTime}. Such an event costs more. Default: false. */
  readonly timing?: boolean | undefined
  /** The event's name in errors and traces. */
  readonly name?: string | undefined
}

const streamOptions: ReadonlySet<string> = new Set(["priority", "name"] satisfies (keyof StreamOptions)[])
const eventOptions: ReadonlySet<string> = new Set(["timing", "name"] satisfies (keyof EventOptions)[])
const prepareOptions: ReadonlySet<string> = new Set<keyof PrepareOptions>(["conditionals", "localMemory", "streams"])

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
  /** @internal The streams for forks that name none. */
  readonly pool: StreamPool
  readonly #whenClosed: () => void
  readonly #memory = new OwnedResources<ArrayMemory>("DeviceArray")
  readonly #pinned = new PinnedResources()
  /** Events that are forgotten return to a pool without a warning, so that you may create one for a single call. */
  readonly #events = new OwnedResources<EventState>(undefined)
  readonly #graphs = new OwnedResources<GraphState>("Graph")
  readonly #shared = new SharedHandles()
  readonly #forgottenStreams = new ForgottenWatch<StreamState>("Stream", (held) => this.order.disposeStream(held))
  /** Former default streams that broke. The user may still refer to them. */
  readonly #formerStreams = new ForgottenWatch<StreamState>(undefined, (held) => this.order.disposeStream(held))
  #defaultStream: Stream | undefined
  #references = 1
  #streamCount = 0
  #eventCount = 0

  /** @internal */
  constructor(id: DeviceId, driver: Driver, whenClosed: () => void) {
    this.id = id
    this.kind = driver.kind
    this.name = driver.name
    this.driver = driver
    this.order = new DeviceOrder(driver, captureContext)
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
   * It is replaced by a new stream once it has been disposed of, or once a kernel has broken it and its error has been thrown
   * or has rejected a promise. A reference to the broken stream keeps throwing its error.
   *
   * @throws DisposedError
   */
  get defaultStream(): Stream {
    const stream = this.#defaultStream
    if (stream !== undefined && !stream.disposed && stream.state.failure === undefined) return stream
    return this.#nextDefaultStream(stream)
  }

  #nextDefaultStream(stream: Stream | undefined): Stream {
    if (stream !== undefined) {
      if (!stream.disposed && !wasTold(stream.state.failure)) return stream
      this.#formerStreams.watch(stream, stream.state)
    }
    this.#defaultStream = this.makeStream(0, "the default stream")
    return this.#defaultStream
  }

  /**
   * Creates a stream. Nothing orders it with other streams. CUDA: `cuStreamCreateWithPriority`.
   *
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED; OutOfMemoryError, CudaError
   * @example
   * const aux = device.createStream({ name: "aux", priority: -1 })
   */
  createStream(options: StreamOptions = {}): Stream {
    checkOptions(options, "options", streamOptions)
    const { priority = 0, name } = options
    checkInteger(priority, "priority", this.driver.priorities.greatest, this.driver.priorities.least)
    checkName(name, "name")
    this.checkUsable()
    this.order.retryHeld()
    const stream = this.#newStream(priority, name)
    this.#forgottenStreams.watch(stream, stream.state)
    return stream
  }

  /** @internal Creates a stream for the library's own use. The user need not dispose of it. */
  makeStream(priority: number, name: string): Stream {
    this.checkUsable()
    const stream = this.#newStream(priority, name)
    stream.state.chosen = true
    return stream
  }

  #newStream(priority: number, name = `stream ${this.#streamCount + 1}`): Stream {
    const state = this.order.createStream(priority, `${name} of ${this.id}`)
    return new Stream(this, ++this.#streamCount, name, priority, state)
  }

  /**
   * A stream that another library created, to queue work on and to order work with. The library never destroys it; dispose of
   * it before its owner destroys it. The same handle returns the same Stream. PyTorch: `torch.cuda.ExternalStream`.
   *
   * @param handle the handle in the device's own library (`CUstream`); not one of CUDA's default streams (0, 1, 2)
   * @throws AuxstreamError AUX_INVALID_ARGUMENT (always on the host device), AUX_DEVICE_MISMATCH, AUX_DISPOSED
   */
  streamFromHandle(handle: bigint): Stream {
    this.checkUsable()
    if (typeof handle !== "bigint" || handle < 0n) {
      throw mustBe("handle", "a bigint that is not negative", handle)
    }
    const known = this.#shared.stream(handle)
    if (known !== undefined) return known
    const name = `foreign stream 0x${handle.toString(16)}`
    const state = this.order.adoptStream(handle, `${name} of ${this.id}`)
    const stream = new Stream(this, ++this.#streamCount, name, state.priority, state)
    this.#shared.addStream(handle, stream)
    return stream
  }

  /** @internal The stream's native handle, which from now on finds this Stream again. */
  shareHandle(stream: Stream): bigint {
    const handle = this.driver.streams.foreignHandle(stream.state.handle)
    this.#shared.addStream(handle, stream)
    return handle
  }

  /** @internal */
  disposeStream(stream: Stream): void {
    if (stream.disposed) return
    this.#forgottenStreams.unwatch(stream.state)
    this.#shared.forgetStream(stream)
    this.order.disposeStream(stream.state)
  }

  /**
   * Creates an event, not recorded yet. CUDA: `cuEventCreate`.
   *
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DISPOSED
   */
  createEvent(options: EventOptions = {}): Event {
    checkOptions(options, "options", eventOptions)
    const { timing = false, name } = options
    checkBoolean(timing, "timing")
    checkName(name, "name")
    this.checkUsable()
    const state = new EventState(this.order, timing)
    const event = new Event(this, state, name ?? `event ${++this.#eventCount}`)
    this.#events.add(event, state)
    return event
  }

  /** @internal The event's native handle. The event is kept from now on, because other code may use it. */
  shareEvent(event: Event): bigint {
    this.#shared.addEvent(event)
    return this.driver.events.foreignHandle(event.state.handle)
  }

  /** @internal */
  disposeEvent(state: EventState): void {
    this.#shared.forgetEvent(state)
    this.#events.dispose(state)
  }

  /**
   * Creates an array without initialising its elements. The memory is allocated in the order of the current stream. Inside a
   * capture, the array belongs to the graph. PyTorch: `torch.empty`. CUDA: `cuMemAllocAsync`.
   *
   * @param length the number of elements; 0 is allowed
   * @throws OutOfMemoryError if the device has too little memory even after all pending frees; AuxstreamError
   * AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED
   */
  empty<D extends DType>(dtype: D, length: number): DeviceArray<D> {
    return this.#make(dtype, length, false)
  }

  #make<D extends DType>(dtype: D, length: number, contentsFollow: boolean): DeviceArray<D> {
    checkDType(dtype)
    checkInteger(length, "length", 0, Math.floor(Number.MAX_SAFE_INTEGER / 8))
    this.checkUsable()
    const allocation = this.#allocate(length * elementsOf(dtype).byteLength, contentsFollow)
    const life = captureOf(currentStream(this).state)?.life
    const array = new DeviceArray(this, dtype, length, allocation, undefined, life)
    if (allocation instanceof Allocation) this.#memory.add(array, allocation)
    scopeOf(this, context().scope)?.adopt(array)
    return array
  }

  #allocate(byteLength: number, contentsFollow: boolean): ArrayMemory {
    const { state } = currentStream(this)
    const capture = captureOf(state)
    if (capture !== undefined) {
      state.enter()
      return capture.memory.arena.allocate(state, byteLength)
    }
    return Allocation.on(state, byteLength, contentsFollow)
  }

  /**
   * Creates an array of zeros, filled on the current stream. PyTorch: `torch.zeros`.
   *
   * @param length the number of elements; 0 is allowed
   * @throws the same errors as {@link empty}
   */
  zeros<D extends DType>(dtype: D, length: number): DeviceArray<D> {
    return this.#filled(dtype, length, 0)
  }

  /**
   * Creates an array and fills it with one value on the current stream. PyTorch: `torch.full`.
   *
   * @param length the number of elements; 0 is allowed
   * @param value a number within the range of the dtype; a bigint is allowed for 64-bit integers
   * @throws the same errors as {@link empty}
   */
  full<D extends DType>(dtype: D, length: number, value: ScalarOf<D>): DeviceArray<D> {
    checkDType(dtype)
    checkScalar(dtype, value, "value")
    return this.#filled(dtype, length, value)
  }

  #filled<D extends DType>(dtype: D, length: number, value: number | bigint): DeviceArray<D> {
    const array = this.#make(dtype, length, true)
    return this.#withContents(array, () => array.fillChecked(value))
  }

  /** Queues the first contents of a new array. If that throws, the array is disposed of. */
  #withContents<D extends DType>(array: DeviceArray<D>, initialise: () => unknown): DeviceArray<D> {
    try {
      initialise()
      if (array.length > 0) array.allocation.noteContents(currentStream(this).state)
      return array
    } catch (error) {
      array.dispose()
      throw error
    }
  }

  /**
   * Creates an array with the elements of a typed array. The copy is queued on the current stream; the typed array is read
   * before the call returns. PyTorch: `torch.from_numpy(x).cuda()`.
   *
   * @param source a typed array; a `Uint16Array` may hold the bit patterns of `"float16"` or `"bfloat16"`, a `Uint8Array`
   * those of `"float8_e4m3fn"`
   * @param dtype default: the dtype of the typed array
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DTYPE_MISMATCH, AUX_DISPOSED; OutOfMemoryError
   * @example
   * const x = device.from(new Float32Array([1, 2, 3]))
   * const half = device.from(fromFloat32([0.5, 1], "float16"), "float16")
   */
  from<A extends TypedArray | Float16Elements>(source: A): DeviceArray<DTypeOf<A>>
  from<D extends DType>(source: SourceOf<D>, dtype: D): DeviceArray<D>
  from(source: SourceOf<DType>, dtype: DType | undefined = dtypeOf(source)): DeviceArray {
    if (dtype === undefined) {
      throw mustBe("source", "a typed array such as Float32Array, Uint8Array or BigInt64Array", source)
    }
    checkDType(dtype)
    if (!elementsOf(dtype).holds(source)) {
      const allowed = `a ${elementsOf(dtype).create(0).constructor.name} for an array of ${dtype}`
      throw mustBe("source", allowed, source, undefined, "AUX_DTYPE_MISMATCH")
    }
    const array: DeviceArray = this.#make(dtype, lengthOf(source), true)
    return this.#withContents(array, () => array.copyFrom(source))
  }

  /**
   * Creates an array in page-locked host memory, zeroed, which the device reads and writes in place. CUDA: `cuMemHostAlloc`.
   *
   * @param length the number of elements; 0 is allowed
   * @throws the same errors as {@link empty}
   */
  pinned<D extends DType>(dtype: D, length: number): PinnedArray<D> {
    checkDType(dtype)
    checkInteger(length, "length", 0, Math.floor(Number.MAX_SAFE_INTEGER / 8))
    this.checkUsable()
    this.order.retryHeld()
    this.order.deferredReleases.sweep()
    const byteLength = Math.max(1, length * elementsOf(dtype).byteLength)
    const memory = this.order.allocate(() => this.driver.memory.allocatePinned(byteLength))
    const allocation = new PinnedAllocation(this.order, memory)
    const array = new PinnedArray(this, dtype, length, memory, allocation)
    bytesOf(array.array).fill(0)
    this.#pinned.add(memory.buffer, allocation)
    return array
  }

  /**
   * Makes an array of memory that another library owns. The library never frees it.
   *
   * @param address the device address, a multiple of the element's size
   * @param length the number of elements
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DISPOSED
   */
  wrap<D extends DType>(address: number, dtype: D, length: number): DeviceArray<D> {
    checkDType(dtype)
    const { byteLength } = elementsOf(dtype)
    checkInteger(length, "length", 0, Math.floor(Number.MAX_SAFE_INTEGER / 8))
    checkInteger(address, "address", length === 0 ? 0 : 1, Number.MAX_SAFE_INTEGER - length * byteLength)
    if (address % byteLength !== 0) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `\`address\` must be a multiple of ${byteLength} for an array of ${dtype}; got ${address}`,
      )
    }
    this.checkUsable()
    this.driver.memory.check?.(address, length * byteLength)
    return new DeviceArray(this, dtype, length, Allocation.wrapping(this.order, address, length * byteLength))
  }

  /**
   * Runs a function, and then disposes of every array that it made on this device, except those reachable from its result:
   * through objects, arrays, maps, sets, and the results of forks and graphs. If the function is async, the scope ends when
   * its promise settles. If the result contains an async fork, the scope ends when that settles.
   *
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
   * Loads and reserves in advance what a CUDA device otherwise loads at first use, when CUDA must wait for all queued work.
   * The promise resolves once that is done; it waits for queued work without blocking the event loop. On the host device
   * there is no such work. To load a kernel, use {@link Kernel.prepare}.
   *
   * @throws (as a rejection) AuxstreamError AUX_NOT_READY if queued work does not finish within seconds,
   * AUX_DEVICE_UNAVAILABLE if the driver has no conditionals, AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE; OutOfMemoryError
   * @example
   * await device.prepare() // for runIf and runWhile
   * await device.prepare({ localMemory: 16 * 1024 }) // for kernels that recurse
   * await device.prepare({ streams: 200 }) // for a server where each request has its own streams
   */
  async prepare(options: PrepareOptions = { conditionals: true }): Promise<void> {
    checkOptions(options, "options", prepareOptions)
    const { conditionals = false, localMemory = 0, streams = 0 } = options
    checkBoolean(conditionals, "conditionals")
    checkInteger(localMemory, "localMemory", 0, MOST_LOCAL_MEMORY)
    checkInteger(streams, "streams", 0, MOST_STREAMS)
    this.checkUsable()
    await this.driver.prepare({ conditionals, localMemory, streams })
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
  /** Device memory in bytes: used by arrays, reserved from the system, and the peak of the former. */
  get memory(): MemoryUsage {
    this.checkUsable()
    return this.driver.memory.usage()
  }

  /** Sets `memory.peak` to the bytes that are in use now. PyTorch: `torch.cuda.reset_peak_memory_stats`. */
  resetPeakMemory(): void {
    this.checkUsable()
    this.driver.memory.resetPeak()
  }

  /**
   * Returns unused reserved memory to the system, pinned memory included. Does not wait: memory that queued work may still use
   * stays reserved, so call {@link synchronize} before to return everything. On host this does nothing, because a WebAssembly
   * memory cannot shrink. PyTorch: `torch.cuda.empty_cache`. CUDA: `cuMemPoolTrimTo`.
   */
  trim(): void {
    this.checkUsable()
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
    this.order.captures.checkOutside(this.id, "be synchronised")
    this.order.synchronize()
  }

  /**
   * Resolves once everything queued on the device so far is done. Does not block the event loop. Keeps the process alive.
   *
   * @param options.signal rejects the promise with its reason; the queued work goes on
   */
  async completed(options: CompletionOptions = {}): Promise<void> {
    this.checkUsable()
    await deviceCompletion(this.order, options)
  }

  /**
   * @internal The graph is released when `life` is garbage-collected. The Graph and the arrays made inside it refer to `life`.
   */
  watchGraph(life: object, state: GraphState): void {
    this.#graphs.add(life, state)
  }

  /** @internal */
  disposeGraph(state: GraphState): void {
    this.#graphs.dispose(state)
  }

  /** @internal */
  disposeMemory(allocation: ArrayMemory): void {
    this.#memory.dispose(allocation)
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
    this.#events.disposeAll()
    const unseen = this.order.close()
    this.#memory.disposeAll()
    this.#pinned.markDisposed()
    this.#graphs.disposeAll()
    this.#shared.clear()
    this.driver.close(unseen)
    this.order.releaseAll()
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

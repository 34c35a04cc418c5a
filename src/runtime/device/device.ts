import type { DeviceProperties } from "../../common/device-properties.js"
import type { DType, DTypeOf, Float16Elements, ScalarOf, SourceOf, TypedArray } from "../../common/dtype/dtype.js"
import type { DeviceId, Driver, KernelHandle, MemoryUsage } from "../../driver.js"
import { bytesOf, lengthOf } from "../../common/typed-array.js"
import { Allocation } from "../memory/allocation.js"
import { OwnedResources } from "../memory/resources.js"
import { checkFunction, checkInteger, checkName, checkOptions, mustBe } from "../../common/check.js"
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
import { show } from "../../common/show.js"
import { currentStream } from "./current.js"
import { Stream } from "./stream.js"
import type { StreamState } from "../order/stream-state.js"
import { StreamPool } from "./stream-pool.js"
import { wasTold } from "../order/told-failures.js"

/** Options of {@link Device.createStream}. */
export interface StreamOptions {
  /** From the device's greatest priority (the smaller number, -5 on most) to 0, the default and the least. */
  readonly priority?: number | undefined
  /** Its name in errors, graphs and traces. */
  readonly name?: string | undefined
}

/** Options of {@link Device.prepare}. */
export interface PrepareOptions {
  /** Load what `runIf` and `runWhile` need. */
  readonly conditionals?: boolean | undefined
  /**
   * Bytes of local memory for each thread: its stack, and arrays that do not fit into registers. A kernel's own need is
   * known, and is seen to when the kernel is loaded; this is for kernels that recurse, and for other libraries' kernels. The
   * device sets so much aside for each thread that it can run at a time: 16 KiB are 4 GB on an H200.
   */
  readonly localMemory?: number | undefined
  /** How many streams the program will have at once, the pool's included: up to 128 of those. */
  readonly streams?: number | undefined
}

const MOST_STREAMS = 4096
/** CUDA's limit, in bytes for each thread. */
const MOST_LOCAL_MEMORY = 512 * 1024

/** Options of {@link Device.createEvent}. */
export interface EventOptions {
  /** Does it take the time, for {@link Event.elapsedTime}? Such an event costs more. */
  readonly timing?: boolean | undefined
  /** Its name in errors and traces. */
  readonly name?: string | undefined
}

const streamOptions: ReadonlySet<string> = new Set(["priority", "name"] satisfies (keyof StreamOptions)[])
const eventOptions: ReadonlySet<string> = new Set(["timing", "name"] satisfies (keyof EventOptions)[])
const prepareOptions: ReadonlySet<string> = new Set<keyof PrepareOptions>(["conditionals", "localMemory", "streams"])

/**
 * A GPU, or the host's cores: where streams run and arrays live.
 *
 * Opened by {@link openDevice}. Its streams, events and arrays belong to the thread that opened it.
 */
export class Device {
  /** What {@link openDevice} takes. */
  readonly id: DeviceId
  readonly kind: "cuda" | "host"
  /** What its maker calls it. */
  readonly name: string
  /** @internal */
  readonly driver: Driver
  /** @internal */
  readonly order: DeviceOrder
  /** @internal The kernels that are loaded here, each at the place that it has for itself. */
  readonly kernels: (KernelHandle | undefined)[] = []
  /** @internal The streams that forks run on if none is named. */
  readonly pool: StreamPool
  readonly #whenClosed: () => void
  readonly #memory = new OwnedResources<ArrayMemory>("DeviceArray")
  readonly #pinned = new PinnedResources()
  /** They come from a pool and go back to it, so that one made for a single call may simply be dropped. */
  readonly #events = new OwnedResources<EventState>(undefined)
  readonly #graphs = new OwnedResources<GraphState>("Graph")
  readonly #shared = new SharedHandles()
  readonly #forgottenStreams = new ForgottenWatch<StreamState>("Stream", (held) => this.order.disposeStream(held))
  /** Former default streams that broke. Somebody may hold on to one. */
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

  /** Has its last reference been disposed of? */
  get disposed(): boolean {
    return this.order.closed
  }

  /** @internal */
  retain(): void {
    this.#references += 1
  }

  /** @internal Refuses a device that is closed. */
  checkUsable(): void {
    if (this.order.closed) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    return new DisposedError(
      `${this.id} was disposed of, and with it all that was made from it; open it again with openDevice() and make them anew`,
    )
  }

  /**
   * The stream that work goes to if no other is current: a non-blocking one, never CUDA's legacy null stream. A new
   * stream takes its place when it has been disposed of, and when a kernel has broken it and the failure has reached
   * somebody: been thrown, or rejected a promise. Whoever holds the broken one keeps getting its error.
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

  /** A new stream, without any order with the others. */
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

  /** @internal A stream that the library chooses, and that nobody has to dispose of. */
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
   * A stream that another library made, to order work with and to queue on. It is never destroyed by us; dispose of it
   * before its owner does that. The same handle gives the same stream.
   *
   * @param handle on CUDA, a `CUstream` as a number
   */
  streamFromHandle(handle: bigint): Stream {
    this.checkUsable()
    if (typeof handle !== "bigint" || handle < 0n) {
      throw mustBe("handle", "the stream's number, a bigint", handle)
    }
    const known = this.#shared.stream(handle)
    if (known !== undefined) return known
    const name = `foreign stream 0x${handle.toString(16)}`
    const state = this.order.adoptStream(handle, `${name} of ${this.id}`)
    const stream = new Stream(this, ++this.#streamCount, name, state.priority, state)
    this.#shared.addStream(handle, stream)
    return stream
  }

  /** @internal Shows a stream's number, and remembers whose it is. */
  shareHandle(stream: Stream): bigint {
    const handle = this.driver.foreignHandle(stream.state.handle)
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

  /** A new event, not recorded yet. */
  createEvent(options: EventOptions = {}): Event {
    checkOptions(options, "options", eventOptions)
    const { timing = false, name } = options
    if (typeof timing !== "boolean") {
      throw mustBe("timing", "true or false, or left out", timing)
    }
    checkName(name, "name")
    this.checkUsable()
    const state = new EventState(this.order, timing)
    const event = new Event(this, state, name ?? `event ${++this.#eventCount}`)
    this.#events.add(event, state)
    return event
  }

  /** @internal Shows an event's number, and keeps the event. */
  shareEvent(event: Event): bigint {
    this.#shared.addEvent(event)
    return this.driver.foreignEventHandle(event.state.handle)
  }

  /** @internal */
  disposeEvent(state: EventState): void {
    this.#shared.forgetEvent(state)
    this.#events.dispose(state)
  }

  /**
   * An array whose contents are whatever the memory held before. Allocated in the order of the current stream.
   *
   * @param length in elements; 0 is allowed
   * @throws OutOfMemoryError once everything that was waiting to be freed has been freed and it still does not fit
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

  /** An array of zeros. */
  zeros<D extends DType>(dtype: D, length: number): DeviceArray<D> {
    return this.#filled(dtype, length, 0)
  }

  /** An array of one value. */
  full<D extends DType>(dtype: D, length: number, value: ScalarOf<D>): DeviceArray<D> {
    checkDType(dtype)
    checkScalar(dtype, value, "value")
    return this.#filled(dtype, length, value)
  }

  #filled<D extends DType>(dtype: D, length: number, value: number | bigint): DeviceArray<D> {
    const array = this.#make(dtype, length, true)
    return this.#withContents(array, () => array.fillChecked(value))
  }

  /** Queues the first contents, which the array begins with. A create that throws made nothing. */
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
   * An array with a copy of a typed array's elements, which have been read when this returns.
   *
   * @param dtype `"float16"` or `"bfloat16"` for the bit patterns of a `Uint16Array`, `"float8_e4m3fn"` for those of a
   * `Uint8Array`; the typed array's own unless given
   * @example
   * const x = device.from(new Float32Array([1, 2, 3]))
   * const half = device.from(fromFloat32([0.5, 1], "float16"), "float16")
   */
  from<A extends TypedArray | Float16Elements>(source: A): DeviceArray<DTypeOf<A>>
  from<D extends DType>(source: SourceOf<D>, dtype: D): DeviceArray<D>
  from(source: SourceOf<DType>, dtype: DType | undefined = dtypeOf(source)): DeviceArray {
    if (dtype === undefined) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `source is ${show(source)}; arrays are made from typed arrays: Float32Array, Uint8Array, BigInt64Array and their like`,
      )
    }
    checkDType(dtype)
    if (!elementsOf(dtype).holds(source)) {
      throw new AuxstreamError(
        "AUX_DTYPE_MISMATCH",
        `source is ${show(source)}; an array of ${dtype} is made from a ${elementsOf(dtype).create(0).constructor.name}`,
      )
    }
    const array: DeviceArray = this.#make(dtype, lengthOf(source), true)
    return this.#withContents(array, () => array.copyFrom(source))
  }

  /**
   * Page-locked host memory that the device reads and writes in place, zeroed.
   *
   * @param length in elements; 0 is allowed
   */
  pinned<D extends DType>(dtype: D, length: number): PinnedArray<D> {
    checkDType(dtype)
    checkInteger(length, "length", 0, Math.floor(Number.MAX_SAFE_INTEGER / 8))
    this.checkUsable()
    this.order.retryHeld()
    this.order.deferredReleases.sweep()
    const byteLength = Math.max(1, length * elementsOf(dtype).byteLength)
    const memory = this.order.allocate(() => this.driver.allocatePinned(byteLength))
    const allocation = new PinnedAllocation(this.order, memory)
    const array = new PinnedArray(this, dtype, length, memory, allocation)
    bytesOf(array.array).fill(0)
    this.#pinned.add(memory.buffer, allocation)
    return array
  }

  /**
   * An array over memory that another library owns. It is never freed by us.
   *
   * @param address on the device, a multiple of the element's size
   * @param length in elements
   */
  wrap<D extends DType>(address: number, dtype: D, length: number): DeviceArray<D> {
    checkDType(dtype)
    const { byteLength } = elementsOf(dtype)
    checkInteger(length, "length", 0, Math.floor(Number.MAX_SAFE_INTEGER / 8))
    checkInteger(address, "address", length === 0 ? 0 : 1, Number.MAX_SAFE_INTEGER - length * byteLength)
    if (address % byteLength !== 0) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `address is ${address}; a ${dtype} array begins at a multiple of ${byteLength} bytes`,
      )
    }
    this.checkUsable()
    this.driver.checkMemory?.(address, length * byteLength)
    return new DeviceArray(this, dtype, length, Allocation.wrapping(this.order, address, length * byteLength))
  }

  /**
   * Runs a function and disposes of every array made inside on this device, except those reachable from its result, in
   * any nesting of objects, arrays, maps and sets, and through what forks and graphs give. An async function's scope ends
   * when its promise settles; with an async fork in the result, a scope ends when that is over.
   *
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
   * Makes ready ahead what a CUDA device otherwise makes ready at first use, when CUDA waits for all queued work: so that
   * nothing waits in the midst of things. Waits for queued work itself, off the event loop. On the host device everything is
   * ready from the beginning. Kernels have a `prepare` of their own.
   *
   * @throws AuxstreamError AUX_NOT_READY when queued work does not end within seconds, AUX_DEVICE_UNAVAILABLE for
   * conditionals that the driver does not have, OutOfMemoryError for local memory that there is no room for
   * @example
   * await device.prepare() // for runIf and runWhile
   * await device.prepare({ localMemory: 16 * 1024 }) // for kernels that recurse
   * await device.prepare({ streams: 200 }) // for a server whose requests have streams of their own
   */
  async prepare(options: PrepareOptions = { conditionals: true }): Promise<void> {
    checkOptions(options, "options", prepareOptions)
    const { conditionals = false, localMemory = 0, streams = 0 } = options
    if (typeof conditionals !== "boolean") {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `\`conditionals\` must be true or false, or left out; got ${show(conditionals)}`,
      )
    }
    checkInteger(localMemory, "localMemory", 0, MOST_LOCAL_MEMORY)
    checkInteger(streams, "streams", 0, MOST_STREAMS)
    this.checkUsable()
    await this.driver.prepare({ conditionals, localMemory, streams })
  }

  /**
   * What the device is: its multiprocessors, its memory, its limits. A frozen object that never changes. In CUDA's words,
   * `cuDeviceGetAttribute`.
   */
  get properties(): DeviceProperties {
    this.checkUsable()
    return this.driver.properties
  }

  /**
   * Bytes of device memory: in arrays, reserved from the system, the most that arrays held, free for anybody, and in all. On
   * host, `free` is what the device's memory can still grow by. Each call asks the system (`cuMemGetInfo`).
   */
  get memory(): MemoryUsage {
    this.checkUsable()
    return this.driver.memoryUsage()
  }

  /** Lets `memory.peak` begin again at what is in use now. PyTorch: `torch.cuda.reset_peak_memory_stats`. */
  resetPeakMemory(): void {
    this.checkUsable()
    this.driver.resetPeak()
  }

  /**
   * Returns reserved memory that nothing uses now to the system, pinned memory included. Never waits: memory that queued
   * work may still use stays reserved, so synchronize first to return everything. On host this changes nothing, because a
   * WebAssembly memory cannot shrink. PyTorch: `torch.cuda.empty_cache`; CUDA: `cuMemPoolTrimTo`.
   */
  trim(): void {
    this.checkUsable()
    this.order.deferredReleases.sweep()
    this.driver.trim()
  }

  /** Blocks the calling thread until everything that was queued on the device is done. */
  synchronize(): void {
    this.checkUsable()
    this.order.captures.checkOutside(this.id, "be synchronised")
    this.order.synchronize()
  }

  /** A promise of everything that is queued on the device so far. Does not block the event loop. */
  async completed(options: CompletionOptions = {}): Promise<void> {
    this.checkUsable()
    await deviceCompletion(this.order, options)
  }

  /**
   * @internal The graph is given back when nothing holds on to its life any more: neither the graph nor an array that
   * was made inside.
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
   * Gives one reference back. The last one closes the device, and disposes of all that was made from it: queued work
   * is finished first, and nothing is waited for.
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
    this.order.giveBackAll()
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

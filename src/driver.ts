/**
 * THE SEAM. The code above it (`runtime/`, `parallel/`) knows devices only through {@link Driver}. The code below it
 * (`cuda/`, `host/`) implements this interface and nothing else. Code above must never depend on the shape of a handle.
 * Code below must never know clocks, current streams or policies.
 *
 * ## Order
 *
 * - A stream runs its operations one after another, in the order of the calls. Two streams are ordered only by waits.
 * - `events.record(event, stream)` marks the point after everything queued on `stream` so far. A second record replaces
 *   the first; waits queued before it keep their point.
 * - `streams.wait(stream, event)` binds to the latest record *at the call*. Everything queued on `stream` later runs after
 *   that point. Waiting for an event that was never recorded does nothing.
 * - `allocate` and `free` are operations of their stream, too. The address is known at once, but the memory belongs to the
 *   caller only between these two places in the stream's order. A driver may reuse memory when its `free` is over, on the
 *   same stream, or when `happensBefore` says that the `free` is ordered before the allocation. It must never make a stream
 *   wait for another one by itself.
 * - The birth of memory is the place of its `allocate` in the stream's order or, after `noteContents`, the place of that
 *   call. Another stream must call `orderBehindBirth` before it uses the memory. That orders it after the birth and after
 *   nothing else.
 * - The calling thread is ordered only by `synchronize…`, by a `query…` that returned true, and by a settled
 *   {@link DriverEvents.whenComplete}.
 *
 * ## Queueing
 *
 * A method that queues an operation must never wait for queued work. The caller has checked every argument, so a driver
 * only refuses what the device itself refuses. The source and destination of a `copy` must stay valid until the stream has
 * passed it. `upload` has read its source when it returns.
 *
 * A method that finds no memory, for arrays, pinned memory or staging, must throw `OutOfMemoryError` without waiting. The
 * runtime then calls `drainFrees` and retries once.
 *
 * ## Handles
 *
 * A handle is a number that only its driver understands. A driver may reuse the number of a destroyed object, so code above
 * the seam must never use a handle as a key. `streams.destroy` and `events.destroy` never block and cancel nothing: queued
 * work and queued waits for the event go on. The handle must not be used after that call.
 *
 * ## Captures
 *
 * Between `beginCapture(stream)` and `endCapture(stream)`, operations queued on the stream do not run. A `wait` for an
 * event recorded on a capturing stream makes the waiting stream enter the capture: its later operations are captured, too.
 * If that stream has earlier work, the runtime records an event after it directly before the wait. The graph has the same
 * order as the operations would have had without the capture.
 *
 * `launch`, `copy`, `copyRows`, `fill`, `fillRows`, `products.multiply`, `record`, `wait`, `graphs.launch` and
 * `beginConditional` may be captured. The runtime never allocates, frees, uploads, queries or synchronizes on a capturing
 * stream, and never waits across the border of a capture. A graph launched in a capture becomes part of the new graph, in
 * its current state. Other streams and their events are not affected. If `endCapture` fails, it has still ended the
 * capture, and the streams are as they were before it.
 *
 * The body of a conditional is a nested capture, from `beginConditional` to `endConditional`.
 *
 * A library that knows a handle of our stream may capture it. `record` returns whether it does. Such a record is an
 * edge of the foreign graph, and does not mark the work that was queued before the capture or is queued after it.
 *
 * ## Failures
 *
 * - A call that throws must have queued nothing and created nothing.
 * - If a `query…`, `synchronize…` or `whenComplete` fails, its point has still been reached: everything ordered before it
 * is
 *   over or was skipped.
 * - A failure of queued work is reported later: by `query…`, `synchronize…`, `whenComplete`, and by the next call that
 *   queues on the broken stream. The device decides which streams a failure breaks. On CUDA it breaks all of them.
 * - If a failure breaks only its own stream, the later operations of that stream are skipped, and the contents they should
 *   have written are undefined. The runtime finds these through {@link DriverStreams.watchFailures} and prevents their use.
 * - When the device is lost, `close`, `destroy…` and `free…` return quietly. Every other method throws `DeviceLostError`
 * with
 *   the first failure as its cause, and pending `whenComplete` callbacks are called with it.
 *
 * ## Timelines
 *
 * A driver may tell when operations ran ({@link Driver.startTimeline}). The runtime calls `begin` directly before it queues an
 * operation and `end` directly after. What the driver queues on that stream in between belongs to the operation, with its
 * staging copies; a wait for a birth may be counted, too. Times are milliseconds of the host's clock, `sharedNow()` in
 * `common/timers.ts`, wherever they were taken: a driver must convert a device's clock.
 *
 * A timeline must change no order and never hold up queued work. If it has no room for a record, it drops the record and
 * counts it. It times only operations between its start and its stop. Without a timeline, queueing and running must cost
 * the same as if there were none.
 *
 * ## Checks
 *
 * A driver may check what queued work does to memory ({@link Driver.startChecks}). The runtime calls `describe` directly before it
 * queues a launch outside of captures. Checks must change no order, and no result of work that keeps its declarations. They
 * compare only bytes that no other operation may write at the same time, by the declarations of both. Without checks,
 * queueing and running must cost the same as if there were none.
 *
 * ## Threads
 *
 * A driver belongs to the JavaScript thread that opened it. It must not rely on thread state that other code may change,
 * such as CUDA's current context. Callbacks are called on that thread, never inside a call of a driver method.
 */

import type { DeviceProperties } from "./common/facts/device-properties.js"
import type { DType } from "./common/dtype/dtype.js"
import type { AccessViolationError } from "./common/errors.js"
import type { ProductTypes } from "./common/dtype/product-types.js"
import type { LaunchShape } from "./common/facts/launch-shape.js"
import type { KernelAttributes, SuggestedBlock } from "./common/facts/kernel-facts.js"
import type { AggregateLayout, Primitive } from "./common/struct/layout.js"

/** A stream's handle in its driver. */
export type StreamHandle = number
/** An event's handle in its driver. */
export type EventHandle = number
/** The handle of a kernel that is loaded on one device. */
export type KernelHandle = number

/** An executable graph's handle in its driver. */
export type GraphHandle = number

/** The handle of one operation of a graph: it belongs to one capture, and is valid until `destroy` or the next update. */
export type NodeHandle = number

/** When a conditional's body runs: once if the condition is not zero, once if it is zero, or as long as it is not zero. */
export type ConditionalKind = "if" | "unless" | "while"

/** A place in a stream's order. Only the runtime interprets it; a driver keeps it and passes it to `happensBefore`. */
export interface OrderMark {
  readonly slot: number
  readonly tick: number
}

/** The argument for a pointer parameter: a device array or a pinned array. */
export interface MemoryRange {
  /** The device address. On the host device, the offset from the start of its memory in bytes. */
  readonly address: number
  /** The number of elements. */
  readonly length: number
}

/** The place of rows: the first begins at an address, and each other one `pitch` bytes after the previous one. */
export interface Rows {
  readonly address: number
  readonly pitch: number
}

/**
 * One argument of a launch, already checked against the signature. A driver gets the arguments as `flatten` in
 * `common/struct/flat.ts` takes a signature apart: one for each primitive.
 */
export type KernelArgument = number | bigint | MemoryRange

/**
 * A parsed parameter. `"in float32*"` is `{ dtype: "float32", access: "in" }`; a scalar has no access. What else is taken
 * by value has its layout, with pointers of 8 bytes.
 */
export type KernelParameter = Primitive | AggregateLayout

/** One kernel of a module, with its signature parsed. */
export interface KernelSource {
  readonly name: string
  readonly parameters: readonly KernelParameter[]
  readonly module: ModuleSource
  /** Its symbol in the module's CUDA code; a name expression if it has `<` or `::` and the code is CUDA C++. */
  readonly symbol: string
  /** What the module's host code exports it as. */
  readonly export: string
  /** Whether it leaves elements of its `out` arguments unwritten on purpose. */
  readonly partialOutputs?: boolean | undefined
}

/**
 * Code with one or several kernels. A driver compiles it and loads it once. The object is the module's identity: another
 * object with the same contents is another module.
 */
export interface ModuleSource {
  readonly name: string
  /** What errors call it: `Module "filters"`, or `Kernel "saxpy"` if it has only this kernel. */
  readonly label: string
  readonly cuda: CudaModuleBody | undefined
  readonly host: HostModuleBody | undefined
  readonly globals: readonly GlobalDeclaration[]
  /** The name expressions of its kernels. Complete, and never changed again, once a driver has been given the module. */
  readonly expressions: readonly string[]
}

/** A global array of a module's code. */
export interface GlobalDeclaration {
  readonly name: string
  readonly dtype: DType
  /** In elements. */
  readonly length: number
  /** Whether kernels only read it, even if the code could write it. */
  readonly isConstant: boolean
}

/** A global array of a module that is loaded on one device. */
export interface LoadedGlobal {
  readonly address: number
  /** Whether kernels only read it. */
  readonly isConstant: boolean
}

/** How CUDA C++ is compiled. */
export interface CompileOptions {
  /** NVRTC's options. */
  readonly options?: readonly string[] | undefined
  /** Headers as texts, by the names under which the code includes them. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Folders to search for headers: `file:` URLs or absolute paths. */
  readonly includePaths?: readonly (URL | string)[] | undefined
}

/** A module's code for CUDA. */
export type CudaModuleBody =
  | ({
      /** CUDA C++, compiled by NVRTC at the first use on a device. */
      readonly source: string
    } & CompileOptions)
  | ({
      /** A file of CUDA C++: a path or a `file:` URL, read at the first use. */
      readonly file: URL | string
    } & CompileOptions)
  | {
      /** PTX, which the driver compiles for its GPU. */
      readonly ptx: string | Uint8Array
    }
  | {
      /** Machine code for one kind of GPU. */
      readonly cubin: Uint8Array
    }
  | {
      /** Machine code for several kinds of GPU, and PTX. */
      readonly fatbin: Uint8Array
    }

/** A module's code for the host device. */
export type HostModuleBody =
  | {
      /** The text of an ES module in JavaScript. */
      readonly source: string
    }
  | {
      /** An ES module, which each worker thread imports: a URL, or an absolute path. */
      readonly module: URL | string
    }
  | {
      /** A WebAssembly module: its bytes, or the URL of its file. It must import the device's memory, `env.memory`. */
      readonly wasm: URL | Uint8Array
    }

/** Launch attributes that few kernels need. */
export interface LaunchAttributes {
  readonly cluster: readonly [x: number, y: number, z: number] | undefined
  readonly cooperative: boolean
  /** Whether the launch can be dropped before it begins. Devices that cannot do that ignore it. */
  readonly droppable?: boolean
  /**
   * The bytes of the structs among the parameters, as `flatten` places them. The driver fills in the pointers, whose arrays
   * are the last arguments, and has copied the bytes when the call returns. Undefined if the signature has no struct.
   */
  readonly structs?: Uint8Array | undefined
}

/** A queued launch that may be dropped. */
export interface DroppableLaunch {
  /** Whether the stream has passed it. */
  readonly isOver: boolean
  /** If it has not begun, its stream breaks at its place, as if the kernel had failed. */
  drop(reason: unknown): void
}

/**
 * Multiplies matrices on a device. `workspace` is the address of scratch memory, whose choice must not change the result.
 */
export interface ProductLibrary {
  /** The size of the scratch memory that a call needs. */
  readonly workspaceBytes: number
  /** How often a product had to be planned or its code loaded. Only changes matter. */
  readonly loads: number
  /** Why the device does not multiply 8-bit floating point numbers; undefined if it does. */
  readonly lacksFloat8: string | undefined
  /**
   * Queues products. Nothing else may use the workspace before the stream has passed them.
   *
   * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if the library has no algorithm for them
   */
  multiply(product: MatrixProduct, workspace: number, stream: StreamHandle): void
  /** Those of the products that one call computes; undefined if there are none. The call cannot be captured. */
  groupOf(products: readonly MatrixProduct[]): ProductGroup | undefined
  /**
   * Queues several products, which are independent of each other. They may have to share the workspace.
   *
   * @param group what `groupOf` gave for these products, if it is to be used
   * @param pointers where the group's pointers will be in device memory when the stream gets there
   */
  multiplyGroup(
    products: readonly MatrixProduct[],
    group: ProductGroup | undefined,
    pointers: number,
    workspace: number,
    stream: StreamHandle,
  ): void
  /**
   * Loads what the first such product would load. Waits for an idle device off the event loop. Nothing is read or written. Addresses
   * need only be aligned as in the products to come.
   */
  prepare(product: MatrixProduct, workspace: number): Promise<void>
}

/** Products that one call computes. */
export interface ProductGroup {
  readonly products: readonly MatrixProduct[]
  /** The addresses of their matrices. The caller copies them into device memory. */
  readonly pointers: BigUint64Array<ArrayBuffer>
}

/**
 * Products `out = activation(alpha · scaleA · scaleB · op(a) · op(b) + beta · out + bias)` of row-major matrices, with
 * sizes above 0 and an alpha that is not 0.
 */
export interface MatrixProduct {
  readonly types: ProductTypes
  readonly layout: ProductLayout
  /** The first matrices. */
  readonly a: MemoryRange
  readonly b: MemoryRange
  readonly out: MemoryRange
  /** n numbers, added to each row. */
  readonly bias: MemoryRange | undefined
  /** A float32 each, for 8-bit inputs. 1 if undefined. */
  readonly scaleA: MemoryRange | undefined
  readonly scaleB: MemoryRange | undefined
  readonly activation: "relu" | "gelu" | undefined
  readonly alpha: number
  readonly beta: number
}

/** The sizes of products, and where their matrices are. */
export interface ProductLayout {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  /** The number of elements from one stored row to the next. */
  readonly ldA: number
  readonly ldB: number
  readonly ldOut: number
  /** The number of products, and the distances between their matrices in elements. */
  readonly count: number
  readonly strideA: number
  readonly strideB: number
  readonly strideOut: number
}

/** What {@link Driver.prepare} prepares. */
export interface PreparedNeeds {
  /** Whether `beginConditional` will be called. */
  readonly conditionals: boolean
  /** Bytes of local memory for each thread of a kernel. */
  readonly localMemory: number
  /** The number of streams that will exist at once. */
  readonly streams: number
}

/** The limits of one launch. The host device has CUDA's limits. */
export interface LaunchLimits {
  readonly threadsPerBlock: number
  readonly block: readonly [x: number, y: number, z: number]
  readonly grid: readonly [x: number, y: number, z: number]
  /** Dynamic shared memory of a block, in bytes. */
  readonly sharedMemory: number
}

/** Bytes of device memory. */
export interface MemoryUsage {
  /** Bytes used by arrays that have not been disposed of. */
  readonly used: number
  /** Bytes allocated from the system, in use or kept for reuse. */
  readonly reserved: number
  /** The largest value of `used` so far, or since {@link Device.resetPeakMemory}. */
  readonly peak: number
  /** Bytes free for any process. On the host device, the bytes by which its memory can still grow. */
  readonly free: number
  /** The bytes of the whole device. On the host device, the largest size that its memory can have. */
  readonly total: number
}

/** Page-locked host memory that the device reads and writes in place. */
export interface PinnedMemory {
  readonly address: number
  /**
   * Memory that the user may get: a new object for each allocation, which the driver must not keep. The runtime calls
   * `freePinned` only once it is unreachable, because a typed array over it may still be in use.
   */
  readonly buffer: ArrayBufferLike
  /** The memory's offset in `buffer`, a multiple of 256. */
  readonly byteOffset: number
  readonly byteLength: number
}

/** The failures of one stream, on devices where a failure breaks only its own stream. Valid after the stream's end, too. */
export interface StreamFailures {
  /** Whether any stream of the device has ever been broken. Until then, no stream needs a check. */
  readonly arePossible: boolean
  /** The end of the stream's queue. It grows with every queued operation. */
  readonly position: number
  /** Whether every operation up to a position has run, or was skipped because of a failure. */
  hasPassed(position: number): boolean
  /**
   * The error that broke the stream at or before a position, if known; always the same object. Operations up to that
   * position may still be waiting to be skipped.
   */
  before(position: number): Error | undefined
}

/** A device's streams. */
export interface DriverStreams {
  /** Creates a stream without any implied order with other streams. The name is for errors. */
  create(priority: number, name?: string): StreamHandle
  /**
   * Queued work is finished first. A stream in a foreign capture is destroyed after that capture. An adopted stream is only
   * released: its owner destroys it.
   */
  destroy(stream: StreamHandle): void
  /** Adopts a stream that another library created. */
  adopt(foreign: bigint): StreamHandle
  /** The priority of an adopted stream. */
  priorityOf(stream: StreamHandle): number
  /** The stream's handle for other libraries. */
  foreignHandle(stream: StreamHandle): bigint
  /** Whether another library is capturing the stream, so that an event recorded there does not mark the earlier work. */
  isCapturedByOthers(stream: StreamHandle): boolean
  /** Watches the stream's failures without calling the device's library. Absent if a failure loses the device. */
  watchFailures?(stream: StreamHandle): StreamFailures
  /** Whether everything queued so far is done. Throws the error that broke the stream. */
  query(stream: StreamHandle): boolean
  /** Blocks the calling thread until everything queued so far is done. Throws the error that broke the stream. */
  synchronize(stream: StreamHandle): void
  wait(stream: StreamHandle, event: EventHandle): void
}

/** A device's events. */
export interface DriverEvents {
  create(timing: boolean): EventHandle
  destroy(event: EventHandle): void
  /** The event's handle for other libraries. */
  foreignHandle(event: EventHandle): bigint
  /** @returns whether another library is capturing the stream. During one of our own captures, either value. */
  record(event: EventHandle, stream: StreamHandle): boolean
  /** Whether the latest record is complete; true if never recorded. Throws the error that broke the stream before it. */
  query(event: EventHandle): boolean
  /** Blocks the calling thread until the latest record is complete. Throws as `query` does. */
  synchronize(event: EventHandle): void
  /** Milliseconds between two complete records of events created with timing. */
  elapsedTime(start: EventHandle, end: EventHandle): number
  /**
   * Calls `settle` once the latest record at the call is complete, with the error if `query` would throw. Keeps the
   * process alive until then, and does not block. After a call of the returned function, `settle` is never called.
   */
  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void
}

/** A device's memory, and what moves bytes in it. */
export interface DriverMemory {
  /**
   * Whether an allocation is itself an operation of its stream. Then no other stream may use the memory before it, whatever
   * used the memory earlier.
   */
  readonly allocatesInOrder?: boolean
  /**
   * Memory of at least one byte, aligned to 256 bytes, from this place in the stream's order on. `happensBefore(mark)`
   * tells whether the `free` with that mark is ordered before this call. `contentsFollow`: no other stream uses the memory
   * before `noteContents`.
   * @throws OutOfMemoryError without having waited
   */
  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow?: boolean,
  ): number
  /** The memory's first contents have just been queued on its stream: its birth is now after them. */
  noteContents(address: number, stream: StreamHandle): void
  /**
   * The operation queued last overwrites all of the memory, so skipped first contents no longer break streams that use it.
   * Absent if a failure loses the device.
   */
  forgetContents?(address: number): void
  /**
   * Makes everything queued on the stream later run after the memory's birth. Other failures of the birth's own stream do
   * not break this stream. But if the first contents were skipped because that stream was already broken, this stream
   * breaks, too, unless its next operation `overwrites` all of the memory.
   *
   * @returns true if the birth is over, so that no stream must be ordered after it any more
   */
  orderBehindBirth(address: number, stream: StreamHandle, overwrites?: boolean): boolean
  /** Frees memory at this place in the stream's order. */
  free(address: number, stream: StreamHandle, mark: OrderMark): void
  /** Blocks until every `free` queued so far has happened, so that `allocate` can reuse the memory. */
  drainFrees(): void
  /**
   * Everything queued on the stream outside a capture is over. The runtime knows this from an event; a captured stream
   * cannot be queried.
   */
  noteIdle(stream: StreamHandle): void
  usage(): MemoryUsage
  /** Returns reserved memory that nothing uses now to the system, where that is possible. Does not wait for queued work. */
  trim(): void
  /** Sets the peak to the bytes in use now. */
  resetPeak(): void

  /**
   * Pinned memory with undefined contents. `isStaging`: the user never gets it, so many pieces may share one buffer object.
   *
   * @throws OutOfMemoryError
   */
  allocatePinned(byteLength: number, isStaging?: boolean): PinnedMemory
  /**
   * Frees pinned memory, whose pages may be reused at once. It is in no stream's order: the caller must know that every
   * queued use is over and that its buffer is unreachable. This is the only method that may be called after `close`. Until
   * it is called the pages stay, because a typed array over them may be in use.
   */
  freePinned(address: number): void

  /**
   * Refuses foreign memory that does not belong to the device. Absent if the driver cannot check it.
   * @throws AuxstreamError AUX_OUT_OF_RANGE
   */
  check?(address: number, byteLength: number): void

  /**
   * Memory that was allocated on this stream and has not been used since, as bytes to write first contents to. Undefined if
   * queued work may still use what was there before. Absent if JavaScript cannot reach the device's memory.
   * @throws the error that broke the stream
   */
  bytesNow?(address: number, byteLength: number, stream: StreamHandle): Uint8Array | undefined

  /** Copies bytes between device and pinned memory, in any direction. */
  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void
  /** Copies from the caller's memory, which has been read when the call returns. */
  upload(destination: number, source: Uint8Array, stream: StreamHandle): void
  /** Fills with `count` repetitions of an element of 1, 2, 4 or 8 bytes. */
  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void
  /**
   * Like `copy`, for at least two rows of `width` bytes. A pitch is at least `width`, and at most `properties.maxPitch`.
   */
  copyRows(destination: Rows, source: Rows, width: number, rows: number, stream: StreamHandle): void
  /** Like `fill`, for at least two rows of `count` elements. The pitch is a multiple of the element's bytes. */
  fillRows(destination: Rows, element: Uint8Array, count: number, rows: number, stream: StreamHandle): void
}

/** A device's kernels. */
export interface DriverKernels {
  /**
   * Loads a kernel, and its module if needed. Loading the same source object again gives the same handle. The handle is
   * valid while the module is reachable, so the caller must keep it while a graph contains a launch of the kernel.
   */
  load(source: KernelSource): KernelHandle
  /** Like `load`, without blocking the event loop. */
  prepare(source: KernelSource): Promise<KernelHandle>
  /** Compiles and loads a module and finds its globals, without blocking the event loop. */
  prepareModule(module: ModuleSource): Promise<void>
  /** Loads a module, and compiles it if needed. Gives its globals, in the order of their declarations. */
  loadGlobals(module: ModuleSource): readonly LoadedGlobal[]
  /**
   * Unloads a module, without blocking. Queued work that uses its kernels or globals runs first. No graph may use it, and
   * the module must not be loaded again.
   */
  unloadModule(module: ModuleSource): void
  /**
   * Frees the globals of a module. Every queued use must be over. Absent if they are part of the module's code. Otherwise
   * they stay until this call, even if the module is unreachable.
   */
  freeGlobals?(globals: readonly LoadedGlobal[]): void
  attributes(kernel: KernelHandle): KernelAttributes
  /**
   * How many blocks one multiprocessor can run at a time.
   *
   * @throws AuxstreamError AUX_OUT_OF_RANGE for more threads than the kernel's blocks may have, or too much shared memory
   */
  blocksPerMultiprocessor(kernel: KernelHandle, threads: number, sharedMemory: number): number
  /** A block with the greatest occupancy, of at most `mostThreads`. @throws AuxstreamError AUX_OUT_OF_RANGE */
  suggestBlock(kernel: KernelHandle, sharedMemory: number, mostThreads: number): SuggestedBlock
  /**
   * Queues a launch. The shape and the arguments have been read when the call returns.
   *
   * @returns a handle to drop the launch, if it is droppable and the device supports that
   */
  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined
}

/** A device's captures and graphs. */
export interface DriverGraphs {
  /** Begins a capture: operations queued on the stream from now on become part of a graph. */
  beginCapture(stream: StreamHandle): void
  /**
   * Ends the capture that began on this stream, and returns its executable graph. Every stream of the capture must have
   * been joined.
   *
   * @param update an executable graph to update to the captured one. If its shape allows that, the same handle is returned.
   * Otherwise a new one is, and the old graph is unchanged.
   * @param keepsPriorities whether operations run with the priorities of the streams they were captured on. Otherwise all
   * run with the priority of the stream on which the graph is launched.
   * @param isChained whether the operations run one after another: see `chain`. It is part of the shape
   */
  endCapture(
    stream: StreamHandle,
    update: GraphHandle | undefined,
    keepsPriorities?: boolean,
    isChained?: boolean,
  ): GraphHandle
  /**
   * Makes a second executable of a captured graph, whose operations run one after another in the order of the calls that
   * captured them. The nodes have the same handles in both, but each keeps its own changes, and nothing orders launches of
   * one after launches of the other. The graph must have no conditionals, and neither updates nor changes so far. A graph
   * that was launched inside may keep its branches.
   */
  chain(graph: GraphHandle): GraphHandle
  /** Ends the capture that began on this stream and discards it, in any state. Never throws. */
  cancelCapture(stream: StreamHandle): void
  /**
   * Inside a capture that `stream` is part of: operations queued on `body` from now on become the body of a conditional at
   * this place in the stream's order.
   *
   * @param condition the address of an int32, read when the stream gets there, and for "while" after each run, too
   * @param body a stream without queued work
   * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if the driver has no conditionals
   */
  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void
  /** Ends the body. All its streams must have been joined into the stream on which it began. */
  endConditional(body: StreamHandle): void
  /** Ends a body that has failed. The caller then cancels the capture around it. Never throws. */
  cancelConditional(body: StreamHandle): void
  /**
   * Orders the next `launch` of this graph on the stream after the graph's latest launch, on any stream, but not after
   * later work of that stream. If the earlier launch failed, so does this one.
   */
  orderBehindLaunch(graph: GraphHandle, stream: StreamHandle): void
  /** Queues one run of the graph as an operation of the stream. The caller must order it after the graph's earlier runs. */
  launch(graph: GraphHandle, stream: StreamHandle): void
  /**
   * The launch that was captured last on the stream. Called directly after it, and never in the body of a conditional.
   */
  capturedNode(stream: StreamHandle): NodeHandle
  /**
   * How many nodes have been captured so far in the capture of the stream, outside of bodies of conditionals. Called directly after
   * an operation was captured. The nodes of a graph launched inside may count as one.
   */
  capturedCount(stream: StreamHandle): number
  /**
   * Must be called before nodes are changed.
   *
   * @returns the graph's handle from now on. It may be another one after an update; then the caller destroys the former
   * graph like any other.
   */
  makeChangeable(graph: GraphHandle): GraphHandle
  /**
   * Gives a launch of the graph other arguments. Launches of the graph that are queued already keep the former ones.
   * `structs`: see {@link LaunchAttributes}.
   */
  setNodeArguments(
    graph: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void
  /** Whether a launch inside the graph does anything when the graph is launched later. */
  setNodeEnabled(graph: GraphHandle, node: NodeHandle, enabled: boolean): void
  /** Destroys a graph. No launch of it may be queued or running. */
  destroy(graph: GraphHandle): void
}

/** Where a timeline's times come from: the host device's workers, CUDA events, or CUPTI's activity records. */
export type TimeSource = "workers" | "events" | "cupti"

/** Work that ran on a device. Times are in milliseconds of the host's clock. */
export interface TimedWork {
  readonly kind: "kernel" | "copy" | "fill"
  /** The kernel's name, or the kind. */
  readonly name: string
  readonly start: number
  readonly end: number
}

/** One operation of a launched graph, as it ran. */
export interface TimedNode extends TimedWork {
  /**
   * Which of the graph's streams it ran on. The launching stream is 0. Other numbers mean the same stream in all launches of a
   * graph, if the driver knows that.
   */
  readonly branch: number
  /**
   * The graph that it is in: the launched one, or one inside that, such as the body of a conditional. Equal numbers in a launch
   * mean the same graph. A driver that places all nodes in the launched graph always says 0.
   */
  readonly graph: number
  /**
   * How many nodes of that graph were captured before it, as {@link DriverGraphs.capturedCount} counts them; in the body of a
   * conditional on the host device, before the conditional. Undefined if the driver does not know.
   */
  readonly place: number | undefined
  /** In the body of a conditional: how many times the node has run before in this launch. Otherwise undefined. */
  readonly iteration: number | undefined
}

/** Receives times. Called only inside `collect` and `stop` of the timeline. */
export interface TimelineSink {
  /**
   * An operation ran, or a part of it. Its time is from the earliest start to the latest end of its parts, which may come in
   * any order.
   */
  ran(operation: number, start: number, end: number): void
  /** A node of a graph ran, in the launch with this number. */
  nodeRan(operation: number, node: TimedNode): void
  /**
   * Work that the library did not queue ran, such as another library's kernel, if the source can tell.
   *
   * @param stream names the stream, for people
   */
  strangerRan(stream: string, node: TimedWork): void
  /** The times of this many operations or nodes were lost. */
  lost(count: number): void
}

/** Collects the times of operations. */
export interface Timeline {
  readonly source: TimeSource
  /**
   * The runtime is about to queue an operation outside of captures.
   *
   * @param operation a number that counts up from call to call
   */
  begin(operation: number, stream: StreamHandle): void
  /**
   * The operation has been queued, or could not be. Others may have begun and ended inside it, if it is external work.
   *
   * @returns whether the device has work that is timed: a driver may have nothing to do, such as for contents that it can
   * write at once
   */
  end(operation: number, stream: StreamHandle): boolean
  /**
   * Passes on the times of operations that are over. Does not wait for others. Called regularly while work is queued.
   *
   * @param all nothing may be kept for later, because somebody needs the times now. The times of operations that are running may
   * be lost by that
   * @returns whether there is more to pass on, because this took long
   */
  collect(all?: boolean): boolean
  /**
   * Passes on the times of operations that are over, and ends; the others have none. Another timeline may start at once. Never
   * throws: times that cannot be had are lost. May be called when the device is about to be closed.
   */
  stop(): void
}

/** A range of bytes of the device's memory. */
export interface ByteRange {
  readonly address: number
  readonly byteLength: number
}

/** An operation, for the errors of its checks. */
export interface CheckedOperation {
  /** The kernel's name, or the kind of operation. */
  readonly label: string
  /** The name of its stream. */
  readonly stream: string
  /** The stack of the call that queues it. */
  readonly stack: string
}

/** Pinned memory that an operation reads and does not write. */
export interface PinnedRead extends ByteRange {
  /** The kernel's argument, if it is one. */
  readonly argument: string | undefined
  /** Where that argument begins. */
  readonly start: number
}

/** What a device checks while work runs, and what it does about violations. */
export interface CheckOptions {
  /** Whether kernels leave unchanged what they only read, and what lies directly beside their arrays. */
  readonly accesses: boolean
  /** Whether kernels write all elements of their `out` arguments. Elements that they do not write keep their contents. */
  readonly unwritten: boolean
  /**
   * Called with each violation, in the event loop or in a call of {@link Checks.collect}. Undefined: the stream of the
   * operation breaks at its place, with the violation as its error.
   */
  readonly report: ((violation: AccessViolationError) => void) | undefined
}

/** Checks of queued work. */
export interface Checks {
  /**
   * The runtime is about to queue a launch, or a launch of a graph.
   *
   * @param reads what it reads besides its arguments
   * @param writes what it writes besides its arguments; for a graph, what its kernels do
   */
  describe(operation: CheckedOperation, reads: readonly ByteRange[], writes: readonly ByteRange[]): void
  /**
   * Keeps a copy of pinned memory as it is now. The stream compares the memory with it before its next operation, and once
   * more when the function that this returns is called. That must be called, after that operation was queued or refused.
   *
   * @throws OutOfMemoryError, having queued nothing
   */
  comparePinned(operation: CheckedOperation, reads: readonly PinnedRead[], stream: StreamHandle): () => void
  /** Passes on the violations that are known by now. */
  collect(): void
  /** Ends the checks of work that is queued later. Work that is already queued is still checked. */
  stop(): void
}

/** One device. The head of this file has the rules for every method. */
export interface Driver {
  readonly kind: "cuda" | "host"
  /** The manufacturer's name of the device. */
  readonly name: string
  readonly limits: LaunchLimits
  /** A frozen object, always the same. */
  readonly properties: DeviceProperties
  /** The number of worker threads, on devices whose streams run on worker threads. */
  readonly threads?: number
  /** The milliseconds that a kernel may run, on devices that were opened with a limit. */
  readonly launchTimeout?: number | undefined
  /** Lower numbers run first. `greatest` is the lowest number; `least` is 0. */
  readonly priorities: { readonly least: number; readonly greatest: number }

  readonly streams: DriverStreams
  readonly events: DriverEvents
  readonly memory: DriverMemory
  readonly kernels: DriverKernels
  readonly graphs: DriverGraphs
  /** The device's library for matrix products; absent if it has none. */
  readonly products?: ProductLibrary

  /**
   * Starts a timeline. There is at most one at a time. Absent if the device cannot tell times.
   *
   * @param source where the times should come from. A source that this machine lacks is replaced by another
   * @param capacity how many records each buffer has room for
   */
  startTimeline?(sink: TimelineSink, source: TimeSource | undefined, capacity: number): Timeline

  /**
   * Shows a range of the host's time in the device's profilers, until the returned function is called. Ranges may overlap.
   * Absent, or gives undefined, if there is nothing to show it to.
   */
  startRange?(name: string): (() => void) | undefined

  /**
   * Starts to check work that is queued from now on. There is at most one such check at a time. Absent if the device cannot
   * check anything.
   */
  startChecks?(options: CheckOptions): Checks

  /**
   * Prepares what the device would otherwise prepare at the first use, when some devices must wait for all queued work.
   * Does not block the event loop.
   */
  prepare(needs: PreparedNeeds): Promise<void>
  /**
   * Lets queued work finish, then frees everything. Never blocks. Pending `whenComplete` callbacks are still called. No
   * other method except `memory.freePinned` may be called afterwards.
   *
   * @param unseen why a foreign stream may have work that the driver cannot see. Then the memory that this work may use is
   * leaked, with a warning.
   */
  close(unseen?: unknown): void
}

/** The name of one device: `"host"`, `"cuda:0"`. */
export type DeviceId = "host" | `cuda:${number}`

/** A device in `listDevices()`, before it is opened. */
export interface DeviceListing {
  /** The argument for `openDevice`; `"cuda"` if the CUDA devices cannot be counted. */
  readonly id: DeviceId | "cuda"
  /** The kind of device. */
  readonly kind: "cuda" | "host"
  /** The vendor's name of the device. */
  readonly name: string
  /** Whether `openDevice` can open it. */
  readonly usable: boolean
  /** Why it is not usable, and what to do. */
  readonly reason?: string | undefined
}

/** The options of `openDevice`. */
export interface OpenOptions {
  /** The host device's worker threads, 1 to 256. The default is the number of cores, but at least 2. */
  readonly threads?: number | undefined
  /**
   * The milliseconds that one launch of a kernel may run on the host device, 1 to 2147483647. A launch that runs longer loses
   * the device, and the error names the kernel and its stream. There is no limit by default. CUDA cannot end a kernel:
   * `"auto"` ignores the option if it opens a CUDA device, and a CUDA device that is named refuses it.
   *
   * @example
   * const device = openDevice("host", { launchTimeout: 10_000 })
   */
  readonly launchTimeout?: number | undefined
}

/** Lists and opens one kind of device. Registered in `backends.ts`. */
export interface Backend {
  readonly kind: "cuda" | "host"
  /** The devices of this kind. Never throws. */
  list(): DeviceListing[]
  /** @throws AuxstreamError with code AUX_DEVICE_UNAVAILABLE and the listing's reason */
  open(ordinal: number, options: OpenOptions): Driver
}

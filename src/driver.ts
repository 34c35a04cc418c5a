/**
 * THE SEAM. Everything above it (`runtime/`, `parallel/`) knows devices only through {@link Driver}; everything below
 * it (`cuda/`, `host/`) implements just this. Nothing above knows the shape of a handle; nothing below knows clocks,
 * current streams or policies.
 *
 * ## What is ordered with what
 *
 * - A stream runs the operations queued on it one after another, in the order of the calls. Two streams have no order
 *   between them, but for waits.
 * - `recordEvent(event, stream)` marks the point behind everything queued on `stream` so far. A second record replaces
 *   the first: waits queued before it keep the point they were given.
 * - `waitEvent(stream, event)` binds to the latest record *at the call*. Everything queued on `stream` later runs after
 *   that point. An event that was never recorded holds nothing up.
 * - `allocate` and `free` are operations of their stream, too. The address is known at once; what is behind it belongs
 *   to the caller from that place in the stream's order until the place of its `free`. A driver may hand out memory
 *   again when the earlier `free` is over, when it was queued on the same stream, or when `happensBefore` says that the
 *   allocating stream is ordered behind it. It never makes a stream wait for another one on its own account.
 * - Memory is born where `allocate` stands in its stream's order or, after `noteContents`, where that stands. Another
 *   stream must not use it before `orderBehindBirth`, which orders it behind that point and behind nothing else.
 * - Nothing is ordered with the calling thread but what `synchronize…`, a `query…` that gave true, or a settled
 *   {@link Driver.whenComplete} says.
 *
 * ## Queueing
 *
 * No method that takes a stream to queue on waits for queued work. Every argument has been checked by the caller; what
 * a driver refuses all the same is the device's own refusal. A `copy`'s two ends must stay as they are until the
 * stream has passed it; `upload` has read its source when it returns.
 *
 * A method that finds no memory, for arrays, pinned memory or staging, throws `OutOfMemoryError` without having waited
 * for anything. The runtime then calls `drainFrees` and tries once more.
 *
 * ## Handles
 *
 * A handle is a number that means something to its driver alone. Drivers may give the number of a destroyed object to
 * a new one, so nothing above the seam uses a handle as a key. `destroyStream` and `destroyEvent` never block and
 * cancel nothing: queued work, and waits queued on the event, go on as if the handle were still there. After that call
 * the handle must not be used again.
 *
 * ## Captures
 *
 * Between `beginCapture(stream)` and `endCapture(stream)`, what is queued on the stream does not run. `waitEvent` on an
 * event that was recorded on a capturing stream brings the waiting stream into the capture, whatever it has queued
 * before (an event recorded behind that comes directly
 * before the wait); from then on its operations are captured, too. Every one is ordered in the graph as it would have been
 * without the capture. `launch`, `copy`, `fill`, `products.multiply`, `recordEvent`, `waitEvent`, `launchGraph` and
 * `beginConditional` may be captured; the runtime never allocates, frees, uploads, queries or synchronises on a
 * capturing stream, nor waits across the border of a capture. A graph that is launched inside becomes part of the other
 * one, as it is then. Streams that take no part go on as ever, and so do events recorded there. A failed `endCapture`
 * has ended the capture all the same: the streams are as they were before it.
 *
 * The body of a conditional is a capture of its own inside the other one, from `beginConditional` to `endConditional`.
 *
 * Other libraries capture streams of ours, too, where they know their handles. `recordEvent` tells it; what is recorded
 * there is an edge of their graph, and says nothing of what was queued before, nor of what is queued afterwards.
 *
 * ## Failures
 *
 * - A call that throws has queued nothing and made nothing.
 * - A `query…`, `synchronize…` or `whenComplete` that fails has come to its point all the same: what is ordered before
 *   it is over, or was skipped.
 * - A failure of queued work shows itself later: at `query…`, `synchronize…`, `whenComplete`, and at whatever is queued
 *   next on the broken stream. Which streams it breaks is the device's business (on CUDA: all of them).
 * - Where a failure breaks its stream alone, what the operations skipped because of it should have written is garbage. The
 *   runtime learns from {@link Driver.watchFailures} what that is, and keeps it from being used.
 * - When the device itself is gone, every method but `close`, `destroy…` and `free…` throws `DeviceLostError` with the
 *   first failure as its cause; pending `whenComplete` callbacks are called with it; the exceptions return quietly.
 *
 * ## Threads
 *
 * A driver belongs to the JavaScript thread that opened it and trusts no state that other code may have left on that
 * thread (CUDA: the current context). Callbacks come on that thread, never from inside a call of a driver method.
 */

import type { DType } from "./common/dtype.js"

/** A stream, as its driver knows it. */
export type StreamHandle = number
/** An event, as its driver knows it. */
export type EventHandle = number
/** A kernel loaded on one device, as its driver knows it. */
export type KernelHandle = number

/** An executable graph, as its driver knows it. */
export type GraphHandle = number

/** When the body of a conditional runs: once if the condition is not zero, once if it is, or as long as it is not. */
export type ConditionalKind = "if" | "unless" | "while"

/** A place in a stream's order. Made and understood by the runtime; a driver only keeps it and hands it back. */
export interface OrderMark {
  readonly slot: number
  readonly tick: number
}

/** What a kernel may be given for a pointer parameter: a device array or a pinned one. */
export interface MemoryRange {
  /** On the device (bytes from the start of the memory on host). */
  readonly address: number
  /** In elements. */
  readonly length: number
}

/** One argument of a launch, already checked against the signature. */
export type KernelArgument = number | bigint | MemoryRange

/** A kernel's parameter, taken apart: `"in float32*"` is `{ dtype: "float32", access: "in" }`, a scalar has no access. */
export interface KernelParameter {
  readonly dtype: DType
  readonly access: "in" | "out" | "inout" | undefined
}

/** What a driver gets to load a kernel from: the user's definition, its signature taken apart. */
export interface KernelSource {
  readonly name: string
  readonly parameters: readonly KernelParameter[]
  readonly cuda: CudaKernelBody | undefined
  readonly host: HostKernelBody | undefined
}

/** Where a kernel's code for CUDA comes from. */
export type CudaKernelBody =
  | { readonly source: string; readonly options?: readonly string[] | undefined }
  | { readonly ptx: string | Uint8Array }
  | { readonly cubin: Uint8Array }

/** Where a kernel's code for the host device comes from. `export` is the kernel's name unless given. */
export type HostKernelBody =
  | { readonly source: string; readonly export?: string | undefined }
  | { readonly module: URL | string; readonly export?: string | undefined }
  | { readonly wasm: URL | Uint8Array; readonly export?: string | undefined }

/** The attributes of a launch that few kernels need. */
export interface LaunchAttributes {
  readonly cluster: readonly [x: number, y: number, z: number] | undefined
  readonly cooperative: boolean
  /** Can it be taken back while it has not begun? Where a device cannot do that, it is a launch like any other. */
  readonly droppable?: boolean
}

/** A launch that has been queued, and that may be taken back. */
export interface DroppableLaunch {
  /** Has the stream come past it? */
  readonly isOver: boolean
  /** Unless it has begun, its stream breaks when it gets there, as if the kernel had failed. */
  drop(reason: unknown): void
}

/** What multiplies matrices on a device. */
export interface ProductLibrary {
  /** The size of the scratch memory that a call needs. */
  readonly workspaceBytes: number
  /**
   * Queues matrix products. `workspace` is scratch memory that nothing else uses meanwhile; which one is given has no
   * influence on the result.
   */
  multiply(product: MatrixProduct, workspace: MemoryRange, stream: StreamHandle): void
}

/** A batch of matrix products `out = alpha · op(a) · op(b) + beta · out`: row-major, without gaps, sizes above 0. */
export interface MatrixProduct {
  readonly inputs: "float32" | "float16" | "bfloat16"
  readonly output: "float32" | "float16" | "bfloat16"
  /** Addresses of the first matrices. */
  readonly a: number
  readonly b: number
  readonly out: number
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly alpha: number
  readonly beta: number
  /** How many products, and the distances between their matrices in elements. */
  readonly count: number
  readonly strideA: number
  readonly strideB: number
  readonly strideOut: number
}

/** What {@link Driver.prepare} makes ready. */
export interface PreparedNeeds {
  /** What `beginConditional` needs. */
  readonly conditionals: boolean
  /** Bytes of local memory for each thread of a kernel. */
  readonly localMemory: number
  /** How many streams there will be at once. */
  readonly streams: number
}

/** What one launch may ask for at most. The host device has CUDA's limits. */
export interface LaunchLimits {
  readonly threadsPerBlock: number
  readonly block: readonly [x: number, y: number, z: number]
  readonly grid: readonly [x: number, y: number, z: number]
  /** Dynamic shared memory of a block, in bytes. */
  readonly sharedMemory: number
}

/** Bytes of device memory. */
export interface MemoryUsage {
  /** In arrays that are alive. */
  readonly used: number
  /** Taken from the system, in use or kept for reuse. */
  readonly reserved: number
  /** The most that `used` ever was. */
  readonly peak: number
}

/** Page-locked host memory that the device reads and writes in place. */
export interface PinnedMemory {
  readonly address: number
  /**
   * An object made for this allocation alone, which the driver does not hold on to: the runtime waits for it to become
   * unreachable before it calls `freePinned`, as any typed array made over it may still be in use.
   */
  readonly buffer: ArrayBufferLike
  /** Where in `buffer` it begins. A multiple of 256. */
  readonly byteOffset: number
  readonly byteLength: number
}

/** How one stream fares, where a kernel's failure breaks its stream alone. Right after the stream's end, too. */
export interface StreamFailures {
  /** Has any stream of the device ever been broken? Until then nobody needs to ask about one. */
  readonly arePossible: boolean
  /** How far the stream's queue reaches now: grows with everything that is queued. */
  readonly position: number
  /** Is everything up to a position over: run, or skipped because of a failure? */
  hasPassed(position: number): boolean
  /**
   * What has broken the stream at or before a position, as far as is known: it is the same error each time. What is
   * queued up to that position may still be waiting to be skipped.
   */
  before(position: number): Error | undefined
}

/** One device. See the head of this file for what every method keeps to. */
export interface Driver {
  readonly kind: "cuda" | "host"
  /** What the maker calls the device, for people to read. */
  readonly name: string
  readonly limits: LaunchLimits
  /** Worker threads, where streams run on such. */
  readonly threads?: number
  /** Lower numbers run first: `greatest` is the smaller number, `least` is 0. */
  readonly priorities: { readonly least: number; readonly greatest: number }

  /** A new stream that has no implied order with any other. */
  createStream(priority: number): StreamHandle
  /**
   * What is queued is finished first. One that another library captures goes at the end of the capture. One that was
   * adopted is let go of: its owner destroys it.
   */
  destroyStream(stream: StreamHandle): void
  /** Takes in a stream that another library made. */
  adoptStream(foreign: bigint): StreamHandle
  /** The priority of a stream that was taken in. */
  adoptedPriority(stream: StreamHandle): number
  /** The number under which other libraries know the stream. */
  foreignHandle(stream: StreamHandle): bigint
  /** Does another library capture the stream, so that what is recorded there says nothing of what was queued before? */
  isCapturedByOthers(stream: StreamHandle): boolean
  /** Watches for what breaks the stream. Absent where a failure loses the device. Costs no call of the device's library. */
  watchFailures?(stream: StreamHandle): StreamFailures
  /** Is everything queued so far done? Throws what broke the stream. */
  queryStream(stream: StreamHandle): boolean
  /** Blocks the calling thread until everything queued so far is done. Throws what broke the stream. */
  synchronizeStream(stream: StreamHandle): void

  createEvent(timing: boolean): EventHandle
  destroyEvent(event: EventHandle): void
  /** The number under which other libraries know the event. */
  foreignEventHandle(event: EventHandle): bigint
  /** @returns whether another library captures the stream; while the caller does, either answer */
  recordEvent(event: EventHandle, stream: StreamHandle): boolean
  waitEvent(stream: StreamHandle, event: EventHandle): void
  /** Is the latest record's point passed? True if never recorded. Throws what broke the stream before that point. */
  queryEvent(event: EventHandle): boolean
  /** Blocks the calling thread until the latest record's point is passed. Throws as `queryEvent` does. */
  synchronizeEvent(event: EventHandle): void
  /** Milliseconds between two passed records of events made with timing. */
  elapsedTime(start: EventHandle, end: EventHandle): number
  /**
   * Calls `settle` once the latest record's point is passed, with the error if `queryEvent` would throw. Binds at the
   * call. Keeps the process alive until then, and blocks nothing. The returned function detaches: `settle` is then
   * never called.
   */
  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void

  /**
   * Memory of at least one byte, aligned to 256 bytes, from this place in the stream's order on. `happensBefore(mark)` tells
   * whether the stream is ordered behind a `free` that was given `mark`. `contentsFollow`: nobody else uses the memory
   * before `noteContents`.
   * @throws OutOfMemoryError when there is none, having waited for nothing
   */
  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow?: boolean,
  ): number
  /** The first contents of what `allocate` gave have just been queued on its stream: its birth is behind them. */
  noteContents(address: number, stream: StreamHandle): void
  /**
   * The operation queued last overwrites all of what `allocate` gave: if its first contents are skipped, that breaks
   * nobody any more. Absent where a failure loses the device.
   */
  forgetContents?(address: number): void
  /**
   * Has everything queued on the stream later run after the birth of what `allocate` gave. What else the birth's own
   * stream has queued, before or after, breaks nobody; but if the first contents were skipped because that stream was
   * broken before them, this stream breaks, too, unless its next operation `overwrites` all of the memory.
   *
   * @returns true if the birth is over: no stream has to be ordered behind it any more
   */
  orderBehindBirth(address: number, stream: StreamHandle, overwrites?: boolean): boolean
  /** Gives back what `allocate` gave, at this place in the stream's order. */
  free(address: number, stream: StreamHandle, mark: OrderMark): void
  /** Blocks until every `free` queued so far has happened, so that an `allocate` can have the memory. */
  drainFrees(): void
  /**
   * Everything that was queued on the stream outside a capture is over, as the runtime knows from an event; a captured
   * stream cannot be asked.
   */
  noteIdle(stream: StreamHandle): void
  memoryUsage(): MemoryUsage

  /** Pinned memory, with whatever it held before. @throws OutOfMemoryError */
  allocatePinned(byteLength: number): PinnedMemory
  /**
   * Takes the memory at this address back; its pages may be given out again at once. Not in any stream's order: the
   * caller knows that every queued use is over and that nothing reaches its buffer any more. The one method that may
   * still be called after `close`: until then the pages stay, as a typed array over them may be in use.
   */
  freePinned(address: number): void

  /**
   * Refuses memory of another library's that is not the device's. Absent where the driver cannot tell.
   * @throws AuxstreamError AUX_OUT_OF_RANGE
   */
  checkMemory?(address: number, byteLength: number): void

  /** Copies bytes between any two of device and pinned memory. */
  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void
  /** Copies from the caller's own memory, which has been read when the call returns. */
  upload(destination: number, source: Uint8Array, stream: StreamHandle): void
  /** Fills with `count` repetitions of an element of 1, 2, 4 or 8 bytes. */
  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void

  /**
   * Loads a kernel now, compiling where that is needed. Loading the same source object again gives the same handle, which
   * is good for as long as that object is reachable, and so must be for as long as a graph has a launch of the kernel.
   */
  loadKernel(source: KernelSource): KernelHandle
  /** The same, without holding up the event loop. */
  prepareKernel(source: KernelSource): Promise<KernelHandle>
  /**
   * Makes ready what the device would otherwise make ready at first use, when some devices have to wait for all queued
   * work. Does not hold up the event loop.
   */
  prepare(needs: PreparedNeeds): Promise<void>
  /**
   * Queues a launch. The arguments have been read when the call returns.
   * @returns what takes it back, if that was asked for and is possible
   */
  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    gridX: number,
    gridY: number,
    gridZ: number,
    blockX: number,
    blockY: number,
    blockZ: number,
    sharedMemory: number,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined

  /** Begins a capture: what is queued on the stream from here on becomes part of a graph. */
  beginCapture(stream: StreamHandle): void
  /**
   * Ends the capture that began on this stream; every stream of the capture has been joined back. The graph can be
   * launched.
   *
   * @param update an executable graph that is to become this one; what is returned is that same handle if its shape
   * allowed it, else a new one, and the old one stays as it was
   * @param keepsPriorities some of its streams have priorities of their own, with which their operations run; otherwise
   * all run with the priority of the stream that the graph is launched on
   */
  endCapture(stream: StreamHandle, update: GraphHandle | undefined, keepsPriorities?: boolean): GraphHandle
  /** Ends the capture that began on this stream and drops it, whatever state it is in. Never throws. */
  cancelCapture(stream: StreamHandle): void
  /**
   * Inside a capture that `stream` takes part in: what is queued on `body` from here on becomes the body of a
   * conditional, which has this place in the stream's order.
   *
   * @param condition the address of an int32, looked at when the stream gets there, and by "while" after each run, too
   * @param body a stream that nothing is queued on
   * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE where the driver has no conditionals
   */
  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void
  /** Ends the body; every stream of it has been joined back to the one that it began on. */
  endConditional(body: StreamHandle): void
  /** Ends a body that has failed; the capture around it is cancelled next. Never throws. */
  cancelConditional(body: StreamHandle): void
  /**
   * Orders the `launchGraph` of this graph that comes next on the stream behind the graph's latest launch, on whatever
   * stream that was, and behind nothing that was queued there later. If the earlier launch failed, so does this one.
   */
  orderBehindLaunch(graph: GraphHandle, stream: StreamHandle): void
  /** Queues one run of the whole graph: an operation of the stream. The caller orders it behind the graph's earlier runs. */
  launchGraph(graph: GraphHandle, stream: StreamHandle): void
  /** No launch of the graph is queued or running any more. */
  destroyGraph(graph: GraphHandle): void

  /** The device's own library for matrix products; absent where there is none. */
  readonly products?: ProductLibrary

  /**
   * Lets queued work finish, then gives everything back. Never blocks. Pending
   * `whenComplete` callbacks still come. No other method is called afterwards, but for `freePinned`.
   *
   * @param unseen why another library's stream may have work left that the driver does not see: then memory that it may
   * use is never given back, which is warned of
   */
  close(unseen?: unknown): void
}

/** The name of one device: `"host"`, `"cuda:0"`. */
export type DeviceId = "host" | `cuda:${number}`

/** What a device's backend tells of a device before it is opened. */
export interface DeviceListing {
  /** What `openDevice` takes; `"cuda"` alone where no CUDA device can be counted. */
  readonly id: DeviceId | "cuda"
  readonly kind: "cuda" | "host"
  readonly name: string
  readonly usable: boolean
  /** Why it is not usable, in one sentence that says what to do. */
  readonly reason?: string | undefined
}

/** The options of `openDevice`. */
export interface OpenOptions {
  /** Worker threads of the host device: 1 to 256; as many as there are cores unless given, but two at least. */
  readonly threads?: number | undefined
}

/** One kind of device: how the runtime finds and opens it. Registered in `backends.ts`. */
export interface Backend {
  readonly kind: "cuda" | "host"
  /** The devices of this kind. Never throws. */
  list(): DeviceListing[]
  /** @throws AuxstreamError with code AUX_DEVICE_UNAVAILABLE and the listing's reason */
  open(ordinal: number, options: OpenOptions): Driver
}

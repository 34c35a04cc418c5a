/**
 * A device's primary context, which is shared with whatever else uses CUDA in this process, and what becomes of a call
 * that fails.
 *
 * ## The current context
 *
 * Other code may make any context current on this thread, or none, so no call relies on it:
 *
 * - Calls that work on the current context (making streams, events and pinned memory; resolving a kernel) are made
 *   inside {@link CudaContext.within}, which pushes ours and leaves the thread as it was.
 * - Calls that name a stream or an event of ours take the context from that; a launch takes it from its function. They
 *   are made bare, because they are the fast ones. Should a driver refuse one for the current context, it has queued
 *   nothing, and {@link CudaContext.again} makes it again with ours current.
 * - Copies and fills do so, too, unless they may be captured: see {@link CudaContext.queue}.
 *
 * ## A lost device
 *
 * After a fault in a kernel every call on the context gives the fault's status. At the first such status the table of
 * calls is exchanged for one that calls nothing and gives that status: the fast paths have nothing to look at while all
 * is well, and nothing reaches the driver afterwards.
 */
import { DeviceLostError, OutOfMemoryError, type CudaError } from "../../common/errors.js"
import type { EventHandle, StreamHandle } from "../../driver.js"
import { type CallName, DRIVER_CALLS, type DriverCalls } from "./calls.js"
import { CMemory } from "./c-memory.js"
import { eachCall } from "./ffi.js"
import { recordedInCapture } from "./errors.js"
import type { ConditionalCalls, GraphCalls } from "./graph-calls.js"
import { type Holding, ledger } from "./ledger.js"
import type { CudaLibrary } from "./library.js"
import { Room } from "./room.js"
import { CAPTURED_EVENT, INVALID_CONTEXT, INVALID_HANDLE, isSticky, OUT_OF_MEMORY, SUCCESS } from "./status.js"
import { setImmediate } from "../../common/timers.js"
import { warn } from "../../common/warn.js"

/** A call whose arguments are all numbers. */
type NumericCall = Exclude<CallName, "cuLibraryGetKernel">
/** Calls for a destination, a source or value, a size and a stream. */
type TransferCall = "cuMemcpyAsync" | "cuMemsetD8Async" | "cuMemsetD16Async" | "cuMemsetD32Async"

/** A device's primary context. */
export class CudaContext {
  readonly library: CudaLibrary
  /** The driver's number of the device. */
  readonly device: number
  /** `"cuda:0 (NVIDIA H200)"`, for messages. */
  readonly label: string
  /** Did nobody hold the context when this was made, so that nothing of others can run there yet? */
  readonly isNew: boolean
  /** The context's handle. */
  readonly handle: number
  /** Where calls put what they give back. Each result is read before the next call. */
  readonly out = new CMemory(64)
  /** The calls, until the device is lost. Read anew for each call. */
  calls: DriverCalls
  /**
   * The event recorded last, and where, while nothing has been queued behind that record. So a second record
   * there marks the same point. Every method that queues anything says so here.
   */
  lastEvent: EventHandle | undefined
  lastStream: StreamHandle | undefined
  /** How many events of the caller's are asked for promises that wait: without any, a record has nobody to look after. */
  askedEvents = 0
  /** How many captures of ours are under way. */
  captures = 0
  /** Has any handle been shown, or taken in? Until then no other library can capture anything here. */
  othersMayCapture = false
  /** For calls that may find no memory. */
  readonly room = new Room()

  /** What is owned in the context, as other threads find it. */
  readonly holding: Holding
  #loss: DeviceLostError | undefined
  readonly #lossListeners = new Set<() => void>()

  /** @throws CudaError when the device does not give its context */
  constructor(library: CudaLibrary, device: number, label: string) {
    this.library = library
    this.calls = library.calls
    this.device = device
    this.label = label
    library.relaxThread()
    const state = this.out.address
    this.check(this.calls.cuDevicePrimaryCtxGetState(device, state, state + 8), "cuDevicePrimaryCtxGetState")
    this.isNew = this.out.int(8) === 0
    this.check(this.calls.cuDevicePrimaryCtxRetain(this.out.address, device), "cuDevicePrimaryCtxRetain")
    this.handle = this.out.number(0)
    this.holding = ledger().open(this.handle)
  }

  /** Gives the context back. The driver destroys it if nobody else holds it. */
  release(): void {
    this.holding.close()
    this.library.calls.cuDevicePrimaryCtxRelease(this.device)
  }

  /** The calls for graphs. @throws DeviceLostError */
  get graphCalls(): GraphCalls {
    if (this.#loss !== undefined) throw this.#loss
    return this.library.graphCalls
  }

  /** The calls for conditionals. @throws DeviceLostError, AuxstreamError AUX_DEVICE_UNAVAILABLE */
  get conditionalCalls(): ConditionalCalls {
    if (this.#loss !== undefined) throw this.#loss
    return this.library.conditionalCalls
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /** For what calls nothing that would say so. @throws DeviceLostError */
  checkAlive(): void {
    if (this.#loss !== undefined) throw this.#loss
  }

  /** Runs `fn` with this context current, and leaves the thread's current context as it was. */
  within<T>(fn: () => T): T {
    this.check(this.calls.cuCtxPushCurrent(this.handle), "cuCtxPushCurrent")
    try {
      return fn()
    } finally {
      // Straight from the library: the stack must be left as it was even if the device was lost meanwhile.
      this.library.calls.cuCtxPopCurrent(this.out.address + 56)
    }
  }

  /**
   * Queues a copy or a fill. In a graph, it becomes a node that keeps the context which is current at the call. Without
   * one, CUDA 13 takes the call, but refuses to update the graph, or crashes at its next launch: see docs/cuda.md.
   */
  queue(call: TransferCall, destination: number, what: number, count: number, stream: StreamHandle): void {
    const status = this.#mayBeCaptured
      ? this.#queueWithin(call, destination, what, count, stream)
      : this.calls[call](destination, what, count, stream)
    if (status !== SUCCESS) this.retry(status, call, destination, what, count, stream)
  }

  /** A method of its own, so that a call without a closure allocates nothing. */
  #queueWithin(call: TransferCall, destination: number, what: number, count: number, stream: StreamHandle): number {
    return this.within(() => this.calls[call](destination, what, count, stream))
  }

  /** The same for a fill of so many rows, `pitch` bytes apart. */
  queueRows(
    destination: number,
    pitch: number,
    value: number,
    width: number,
    rows: number,
    stream: StreamHandle,
  ): void {
    const queue = () => this.calls.cuMemsetD2D32Async(destination, pitch, value, width, rows, stream)
    const status = this.#mayBeCaptured ? this.within(queue) : queue()
    if (status !== SUCCESS) this.retry(status, "cuMemsetD2D32Async", destination, pitch, value, width, rows, stream)
  }

  get #mayBeCaptured(): boolean {
    return this.captures > 0 || this.othersMayCapture
  }

  /** @throws what {@link failure} makes of a status that is not success */
  check(status: number, call: string): void {
    if (status !== SUCCESS) throw this.failure(status, call)
  }

  /**
   * The slow path of a fast call: tries again if the current context or a lack of memory was to blame, and throws if that
   * does not help.
   */
  retry(status: number, call: NumericCall, ...args: number[]): void {
    const again = () => this.again(this.#native(call)(...args), call, ...args)
    this.check(this.room.for(again, this.again(status, call, ...args)), call)
  }

  #native(call: NumericCall): (...args: number[]) => number {
    return this.calls[call]
  }

  /** The status of a call that failed, made again with our context current if the current context was to blame. */
  again(status: number, call: NumericCall, ...args: number[]): number {
    if (status !== INVALID_CONTEXT && status !== INVALID_HANDLE) return status
    this.calls.cuCtxGetCurrent(this.out.address + 56)
    if (this.out.number(56) === this.handle) return status
    return this.within(() => this.#native(call)(...args))
  }

  /** The error of a status. A sticky one loses the device, and then it is the same error for ever. */
  failure(status: number, call: string): Error {
    if (this.#loss !== undefined) return this.#loss
    const error = this.library.error(status, call)
    if (status === CAPTURED_EVENT) return recordedInCapture(error)
    if (status === OUT_OF_MEMORY) return this.#outOfMemory(error)
    return isSticky(status) ? this.#lose(status, error) : error
  }

  #outOfMemory(cause: CudaError): OutOfMemoryError {
    return new OutOfMemoryError(
      `${this.label} has no memory left for the CUDA driver itself: ${cause.message}. Dispose of arrays, graphs or streams ` +
        "that are not needed, or end other programs that use this device.",
      { cause },
    )
  }

  /** Calls `listener` once, when the device is lost. */
  onLoss(listener: () => void): void {
    this.#lossListeners.add(listener)
  }

  #lose(status: number, cause: CudaError): DeviceLostError {
    this.#loss = new DeviceLostError(
      `${this.label} is lost: ${cause.message}. Nothing on it can be used any more, and what its memory held is gone: ` +
        "dispose of the device, and restart the process to use it again.",
      { cause },
    )
    this.calls = deadCalls(status)
    for (const listener of this.#lossListeners) listener()
    this.#lossListeners.clear()
    return this.#loss
  }

  /**
   * For a failure that another library reports: a kernel's fault shows in whatever call comes next.
   *
   * @throws DeviceLostError if it is one
   */
  checkFaults(): void {
    const status = this.within(() => this.calls.cuMemGetInfo(this.out.address, this.out.address + 8))
    if (isSticky(status)) throw this.failure(status, "cuMemGetInfo")
  }

  /** Says that something could not be freed and is leaked. Where freeing fails there is nothing better to do. */
  warnOfLeak(status: number, call: string): void {
    this.warnOfLeakBy(this.failure(status, call))
  }

  /** The same for another library's failure. */
  warnOfLeakBy(error: Error): void {
    if (this.isLost) return
    warn("AUX_LEAK", `${this.label}: something could not be freed and is leaked. ${error.message}`)
  }
}

/** Calls that call nothing and give one status. */
function deadCalls(status: number): DriverCalls {
  return eachCall(DRIVER_CALLS, () =>
    Object.assign(() => status, {
      async: (...args: unknown[]): void => {
        const done = args.at(-1)
        if (typeof done === "function") setImmediate(done as (error: null, status: number) => void, null, status)
      },
    }),
  )
}

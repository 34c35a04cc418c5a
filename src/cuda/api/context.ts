/**
 * A device's primary context, which we share with all other CUDA code in this process, and the handling of failed calls.
 *
 * ## The current context
 *
 * Other code may make any context current on this thread, or none, so no call may rely on it:
 *
 * - Calls that use the current context (creating streams, events and pinned memory; resolving a kernel) are made inside
 *   {@link CudaContext.within}, which pushes our context and pops it afterwards.
 * - Calls with a stream or an event take the context from that, and a launch takes it from its function. These are the fast
 *   calls, and are made directly. If the driver refuses one because of the current context, it has queued nothing, and
 *   {@link CudaContext.again} repeats the call with our context current.
 * - Copies and fills are made directly, too, unless they may be captured: see {@link CudaContext.queue}.
 *
 * ## A lost device
 *
 * After a fault in a kernel, every call on the context returns the fault's status. At the first such status, the table of
 * calls is replaced by one whose functions return that status without calling the driver. So the fast paths need no check,
 * and nothing reaches the driver after a loss.
 */
import { AuxstreamError, DeviceLostError, OutOfMemoryError, type CudaError } from "../../common/errors.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { Rows } from "../../driver/memory.js"
import { type CallName, DRIVER_CALLS, type DriverCalls } from "./calls.js"
import { CMemory } from "../native/c-memory.js"
import { eachCall } from "../native/ffi.js"
import type { ConditionalCalls, GraphCalls } from "./graph-calls.js"
import type { Holding } from "../ledger/holding.js"
import { ledger } from "../ledger/ledger.js"
import type { CudaLibrary } from "./library.js"
import { Room } from "./room.js"
import { CAPTURED_EVENT, INVALID_CONTEXT, INVALID_HANDLE, isSticky, OUT_OF_MEMORY, SUCCESS } from "./status.js"
import { setImmediate } from "../../common/timers.js"
import { warn } from "../../common/warn.js"

/** A call whose arguments are all numbers. */
type NumericCall = Exclude<CallName, "cuLibraryGetKernel" | "cuLibraryGetGlobal">
/** Calls for a destination, a source or value, a size and a stream. */
type TransferCall = "cuMemcpyAsync" | "cuMemsetD8Async" | "cuMemsetD16Async" | "cuMemsetD32Async"
/** Calls for a destination, a pitch, a value, a width, a number of rows and a stream. */
type RowsCall = "cuMemsetD2D8Async" | "cuMemsetD2D16Async" | "cuMemsetD2D32Async"

/** `CUDA_MEMCPY2D`, and the memory type of an address that may be the device's or pinned. */
const COPY_OF_ROWS_BYTES = 128
const MEMORY_UNIFIED = 4

/** A device's primary context. */
export class CudaContext {
  readonly library: CudaLibrary
  /** The driver's device handle. */
  readonly device: number
  /** `"cuda:0 (NVIDIA H200)"`, for messages. */
  readonly label: string
  /** Whether the context was not in use before, so that no other code's work can run in it yet. */
  readonly isNew: boolean
  /** The context's handle. */
  readonly handle: number
  /** Where calls write their results. Each result must be read before the next call. */
  readonly out = new CMemory(64)
  /** The driver's calls. Must be read anew for each call, because the table is replaced when the device is lost. */
  calls: DriverCalls
  /**
   * The last recorded event and its stream, while nothing has been queued since, so that a second record there marks the
   * same point. Every method that queues anything must reset it.
   */
  lastEvent: EventHandle | undefined
  lastStream: StreamHandle | undefined
  /** How many of the caller's events have pending promises. If none has, a record need not care about them. */
  askedEvents = 0
  /** The number of open captures of this library. */
  captures = 0
  /** Whether any handle has been shared or adopted. Before that, no other library can capture our streams. */
  othersMayCapture = false
  /** Retries calls that fail for lack of device memory. */
  readonly room = new Room()

  /** What we own in the context, recorded for other threads. */
  readonly holding: Holding
  #loss: DeviceLostError | undefined
  /** Written for each copy of rows: the driver has read it when the call returns. */
  readonly #copyOfRows = new CMemory(COPY_OF_ROWS_BYTES)
  readonly #lossListeners = new Set<() => void>()

  /** @throws CudaError if the device's context is not available */
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

  /** Releases the context. The driver destroys it if no other code retains it. */
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

  /** For methods that make no driver call, which would report the loss. @throws DeviceLostError */
  checkAlive(): void {
    if (this.#loss !== undefined) throw this.#loss
  }

  /** Runs `fn` with this context current, then restores the thread's current context. */
  within<T>(fn: () => T): T {
    this.check(this.calls.cuCtxPushCurrent(this.handle), "cuCtxPushCurrent")
    try {
      return fn()
    } finally {
      // Not through `this.calls`: the context must be popped even if the device was lost meanwhile.
      this.library.calls.cuCtxPopCurrent(this.out.address + 56)
    }
  }

  /**
   * Queues a copy or a fill. In a capture, its node keeps the context that is current at the call. If none is current, CUDA
   * 13 accepts the call, but refuses to update the graph or crashes at its next launch: see docs/cuda.md.
   */
  queue(call: TransferCall, destination: number, what: number, count: number, stream: StreamHandle): void {
    const status = this.#mayBeCaptured
      ? this.#queueWithin(call, destination, what, count, stream)
      : this.calls[call](destination, what, count, stream)
    if (status !== SUCCESS) this.retry(status, call, destination, what, count, stream)
  }

  /** The same as {@link queue} for a copy. It names the call, which the engine then finds without a look-up. */
  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void {
    if (this.#mayBeCaptured) return this.queue("cuMemcpyAsync", destination, source, byteLength, stream)
    const status = this.calls.cuMemcpyAsync(destination, source, byteLength, stream)
    if (status !== SUCCESS) this.retry(status, "cuMemcpyAsync", destination, source, byteLength, stream)
  }

  /** A separate method, so that the direct call creates no closure and allocates nothing. */
  #queueWithin(call: TransferCall, destination: number, what: number, count: number, stream: StreamHandle): number {
    return this.within(() => this.calls[call](destination, what, count, stream))
  }

  /** Like {@link queue}, for a fill of rows that are `pitch` bytes apart. */
  queueRows(
    call: RowsCall,
    destination: number,
    pitch: number,
    value: number,
    width: number,
    rows: number,
    stream: StreamHandle,
  ): void {
    const queue = () => this.calls[call](destination, pitch, value, width, rows, stream)
    const status = this.#mayBeCaptured ? this.within(queue) : queue()
    if (status !== SUCCESS) this.retry(status, call, destination, pitch, value, width, rows, stream)
  }

  /** Like {@link queue}, for a copy of rows of `width` bytes. */
  copyRows(destination: Rows, source: Rows, width: number, rows: number, stream: StreamHandle): void {
    const description = this.#copyOfRows
    description.setInt(16, MEMORY_UNIFIED)
    description.setNumber(32, source.address)
    description.setNumber(48, source.pitch)
    description.setInt(72, MEMORY_UNIFIED)
    description.setNumber(88, destination.address)
    description.setNumber(104, destination.pitch)
    description.setNumber(112, width)
    description.setNumber(120, rows)
    const { address } = description
    const queue = () => this.calls.cuMemcpy2DAsync(address, stream)
    const status = this.#mayBeCaptured ? this.within(queue) : queue()
    if (status !== SUCCESS) this.retry(status, "cuMemcpy2DAsync", address, stream)
  }

  /** Whether a copy or a fill may become part of a capture. */
  get #mayBeCaptured(): boolean {
    return this.captures > 0 || this.othersMayCapture
  }

  /** @throws the {@link failure} of a status that is not success */
  check(status: number, call: string): void {
    if (status !== SUCCESS) throw this.failure(status, call)
  }

  /**
   * The slow path of a fast call that failed: repeats it if the current context or a lack of memory was the cause, and
   * throws if it fails again.
   */
  retry(status: number, call: NumericCall, ...args: number[]): void {
    const again = () => this.again(this.#native(call)(...args), call, ...args)
    this.check(this.room.for(again, this.again(status, call, ...args)), call)
  }

  #native(call: NumericCall): (...args: number[]) => number {
    return this.calls[call]
  }

  /** If the current context may have caused a call's failure, repeats it with our context current. @returns the status */
  again(status: number, call: NumericCall, ...args: number[]): number {
    if (status !== INVALID_CONTEXT && status !== INVALID_HANDLE) return status
    this.calls.cuCtxGetCurrent(this.out.address + 56)
    if (this.out.number(56) === this.handle) return status
    return this.within(() => this.#native(call)(...args))
  }

  /** The error for a status. A sticky status loses the device; from then on, every error is the same `DeviceLostError`. */
  failure(status: number, call: string): Error {
    if (this.#loss !== undefined) return this.#loss
    const error = this.library.error(status, call)
    if (status === CAPTURED_EVENT) return recordedInCapture(error)
    if (status === OUT_OF_MEMORY) return this.#outOfMemory(error)
    return isSticky(status) ? this.#lose(status, error) : error
  }

  #outOfMemory(cause: CudaError): OutOfMemoryError {
    return new OutOfMemoryError(
      `${this.label} has no free memory for the CUDA driver itself: ${cause.message}. Dispose of arrays, graphs or streams ` +
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
      `${this.label} is lost: ${cause.message}. Its streams and the contents of its memory can no longer be used. ` +
        "Dispose of the device, and restart the process to use it again.",
      { cause },
    )
    this.calls = deadCalls(status)
    for (const listener of this.#lossListeners) listener()
    this.#lossListeners.clear()
    return this.#loss
  }

  /**
   * Checks whether a failure that another library reported was in fact a kernel's fault, which the next driver call
   * reports.
   *
   * @throws DeviceLostError if it was
   */
  checkFaults(): void {
    const status = this.within(() => this.calls.cuMemGetInfo(this.out.address, this.out.address + 8))
    if (isSticky(status)) throw this.failure(status, "cuMemGetInfo")
  }

  /** The free and the total bytes of device memory. @throws DeviceLostError, CudaError */
  systemMemory(): { free: number; total: number } {
    const { out } = this
    const status = this.within(() => this.calls.cuMemGetInfo(out.address, out.address + 8))
    this.check(status, "cuMemGetInfo")
    return { free: out.number(0), total: out.number(8) }
  }

  /** Warns that something could not be freed and is leaked. */
  warnOfLeak(status: number, call: string): void {
    this.warnOfLeakBy(this.failure(status, call))
  }

  /** Like {@link warnOfLeak}, for another library's failure. */
  warnOfLeakBy(error: Error): void {
    if (this.isLost) return
    warn("AUX_LEAK", `${this.label}: something could not be freed and is leaked. ${error.message}`)
  }
}

/** A table of calls that return a fixed status without calling the driver. */
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

/** The error for an event in a foreign capture. The runtime itself refuses events in our own captures. */
export function recordedInCapture(cause?: unknown): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    "The event was recorded on a stream that another library was capturing. It marks a point in that library's graph and " +
      "cannot be queried or waited for. Record it again after the capture has ended.",
    { cause },
  )
}

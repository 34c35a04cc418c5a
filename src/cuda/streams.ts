/** The streams of one device, with what the driver's other parts keep for each of them. */
import type { EventHandle, StreamHandle } from "../driver/handles.js"
import type { DriverStreams } from "../driver/streams.js"
import { SUCCESS } from "./api/status.js"
import type { CudaContext } from "./api/context.js"
import type { DeviceMemory } from "./memory/device-memory.js"
import type { CublasLt } from "./products/products.js"
import type { Captures } from "./stream/captures.js"
import type { Streams } from "./stream/streams.js"

/** See `DriverStreams`. A stream's handle is CUDA's. */
export class CudaStreams implements DriverStreams {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #memory: DeviceMemory
  readonly #products: CublasLt

  constructor(context: CudaContext, streams: Streams, captures: Captures, memory: DeviceMemory, products: CublasLt) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#memory = memory
    this.#products = products
  }

  create(priority: number): StreamHandle {
    return this.#streams.create(priority)
  }

  destroy(stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    const whenOver = this.#memory.forgetStream(stream)
    this.#products.forgetStream(stream)
    this.#streams.destroy(stream, whenOver)
  }

  adopt(foreign: bigint): StreamHandle {
    const stream = this.#streams.adopt(foreign)
    this.#captures.foreign.shareStream(stream)
    return stream
  }

  priorityOf(stream: StreamHandle): number {
    return this.#streams.priorityOf(stream)
  }

  foreignHandle(stream: StreamHandle): bigint {
    // Another library may queue work after the last record.
    this.#context.lastEvent = undefined
    this.#captures.foreign.shareStream(stream)
    return BigInt(stream)
  }

  isCapturedByOthers(stream: StreamHandle): boolean {
    return this.#captures.isInAnyCapture(stream)
  }

  query(stream: StreamHandle): boolean {
    const isIdle = this.#streams.isIdle(stream)
    if (isIdle) this.#memory.noteIdle(stream)
    return isIdle
  }

  synchronize(stream: StreamHandle): void {
    this.#streams.synchronize(stream)
    this.#memory.noteIdle(stream)
  }

  wait(stream: StreamHandle, event: EventHandle): void {
    const context = this.#context
    if (context.captures > 0) this.#streams.mayEnterCapture(stream)
    context.lastEvent = undefined
    const status = context.calls.cuStreamWaitEvent(stream, event, 0)
    if (status !== SUCCESS) this.#retryWait(status, stream, event)
    if (context.othersMayCapture) this.#captures.foreign.noteWait(stream, event)
  }

  #retryWait(status: number, stream: StreamHandle, event: EventHandle): void {
    const context = this.#context
    try {
      context.retry(status, "cuStreamWaitEvent", stream, event, 0)
    } catch (error) {
      throw context.isLost ? error : this.#captures.foreign.explain(error, event)
    }
  }
}

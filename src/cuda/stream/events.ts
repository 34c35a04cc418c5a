/** The events of one device that code above the seam creates. */
import type { DriverEvents } from "../../driver/events.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import { SUCCESS } from "../api/status.js"
import type { CudaContext } from "../api/context.js"
import type { Captures } from "./captures.js"
import type { Completions } from "./completion.js"
import { createEvent, destroyEvent, DISABLE_TIMING, hasPassed } from "./event-pool.js"
import type { Streams } from "./streams.js"

/** See `DriverEvents`. An event's handle is CUDA's. */
export class CudaEvents implements DriverEvents {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #completions: Completions
  readonly #events = new Set<EventHandle>()

  constructor(context: CudaContext, streams: Streams, captures: Captures, completions: Completions) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#completions = completions
  }

  create(timing: boolean): EventHandle {
    const event = createEvent(this.#context, timing ? 0 : DISABLE_TIMING)
    this.#events.add(event)
    return event
  }

  destroy(event: EventHandle): void {
    if (!this.#events.delete(event)) return
    this.#captures.foreign.forgetEvent(event)
    if (event === this.#context.lastEvent) this.#context.lastEvent = undefined
    if (this.#completions.isAsking(event)) this.#completions.destroyWhenUnused(event)
    else destroyEvent(this.#context, event)
  }

  foreignHandle(event: EventHandle): bigint {
    this.#captures.foreign.shareEvent(event)
    return BigInt(event)
  }

  record(event: EventHandle, stream: StreamHandle): boolean {
    const context = this.#context
    if (context.askedEvents > 0) this.#keepPoint(event)
    const isCaptured = context.othersMayCapture && this.#captures.isInAnyCapture(stream)
    const status = context.calls.cuEventRecord(event, stream)
    if (status !== SUCCESS) context.retry(status, "cuEventRecord", event, stream)
    context.lastEvent = event
    context.lastStream = stream
    if (context.othersMayCapture) this.#captures.foreign.noteRecord(event, stream, isCaptured)
    return isCaptured
  }

  /** Pending promises keep waiting for the event's previous record. */
  #keepPoint(event: EventHandle): void {
    if (!this.#completions.isAsking(event)) return
    this.#completions.beforeRecord(
      event,
      () => this.#streams.create(0),
      (stream) => this.#streams.destroy(stream),
    )
  }

  query(event: EventHandle): boolean {
    this.#captures.foreign.checkNotCaptured(event)
    return hasPassed(this.#context, event)
  }

  synchronize(event: EventHandle): void {
    this.#captures.foreign.checkNotCaptured(event)
    const status = this.#context.calls.cuEventSynchronize(event)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", event)
  }

  elapsedTime(start: EventHandle, end: EventHandle): number {
    const { calls, out } = this.#context
    for (const event of [start, end]) this.#captures.foreign.checkNotCaptured(event)
    const status = calls.cuEventElapsedTime(out.address, start, end)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventElapsedTime", out.address, start, end)
    return out.float(0)
  }

  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void {
    this.#captures.foreign.checkNotCaptured(event)
    return this.#completions.add(event, settle)
  }

  close(): void {
    for (const event of this.#events) destroyEvent(this.#context, event)
    this.#events.clear()
  }
}

/** Creates, queries and destroys events, and pools those that the driver records itself. Nothing here may block. */
import type { EventHandle } from "../../driver/handles.js"
import type { CudaContext } from "../api/context.js"
import { NOT_READY, SUCCESS } from "../api/status.js"

/** The event records no time, which makes it several times cheaper. */
export const DISABLE_TIMING = 2

/** @throws CudaError */
export function createEvent(context: CudaContext, flags: number): EventHandle {
  const { status, handle: event } = context.holding.make("event", (out) =>
    context.within(() => context.room.for(() => context.calls.cuEventCreate(out, flags))),
  )
  context.check(status, "cuEventCreate")
  return event
}

/** Never blocks: queued waits for the event stay valid. Never throws. */
export function destroyEvent(context: CudaContext, event: EventHandle): void {
  if (context.isLost) return
  context.holding.remove(event)
  const status = context.calls.cuEventDestroy(event)
  if (status === SUCCESS) return
  const second = context.again(status, "cuEventDestroy", event)
  if (second !== SUCCESS) context.warnOfLeak(second, "cuEventDestroy")
}

/** Whether the latest record is complete. @throws DeviceLostError, CudaError */
export function hasPassed(context: CudaContext, event: EventHandle): boolean {
  let status = context.calls.cuEventQuery(event)
  if (status === SUCCESS) return true
  if (status === NOT_READY) return false
  status = context.again(status, "cuEventQuery", event)
  if (status === NOT_READY) return false
  context.check(status, "cuEventQuery")
  return true
}

/** A pool of events with the same flags: creating an event costs ten times as much as taking one from the pool. */
export class EventPool {
  readonly #context: CudaContext
  readonly #flags: number
  readonly #idle: EventHandle[] = []

  constructor(context: CudaContext, flags: number) {
    this.#context = context
    this.#flags = flags
  }

  acquire(): EventHandle {
    return this.#idle.pop() ?? createEvent(this.#context, this.#flags)
  }

  release(event: EventHandle): void {
    this.#idle.push(event)
  }

  /** Records an event of the pool on a stream. */
  record(stream: number): EventHandle {
    const event = this.acquire()
    const status = this.#context.calls.cuEventRecord(event, stream)
    if (status === SUCCESS) return event
    try {
      this.#context.retry(status, "cuEventRecord", event, stream)
      return event
    } catch (error) {
      this.release(event)
      throw error
    }
  }

  close(): void {
    for (const event of this.#idle.splice(0)) destroyEvent(this.#context, event)
  }
}

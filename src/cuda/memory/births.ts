/**
 * The birth of an array in its stream: an event after memory that was handed out early, or after its first contents.
 * Another stream must not use the array before that event, and must not wait for anything else.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/event-pool.js"

/** Beyond this many births, each new one also checks whether an older one is over. */
const MOST_UNCHECKED = 1024

/** This many addresses stay: a map that deletes and adds the same few keys again and again is rebuilt all the time. */
const KEPT = 512

/** In place of an event: the memory has no birth any more. */
const NONE = 0

/** The births on one device that are not known to be over. */
export class Births {
  readonly #context: CudaContext
  readonly #pool: EventPool
  /** By address, oldest first. */
  readonly #events = new Map<number, EventHandle>()

  constructor(context: CudaContext, pool: EventPool) {
    this.#context = context
    this.#pool = pool
  }

  /** The memory's birth is the end of the work queued on the stream now. @throws CudaError, keeping the previous birth */
  note(address: number, stream: StreamHandle): void {
    const event = this.#pool.record(stream)
    this.forget(address)
    this.#events.set(address, event)
    if (this.#events.size > MOST_UNCHECKED) this.#checkOldest()
  }

  #checkOldest(): void {
    for (const [address, event] of this.#events) {
      const isOver = event !== NONE && hasPassed(this.#context, event)
      this.#events.delete(address)
      if (event === NONE) continue
      if (isOver) this.#pool.release(event)
      else this.#events.set(address, event)
      return
    }
  }

  /** The event of the birth, which a stream must wait for; undefined if it is over. @throws DeviceLostError, CudaError */
  pending(address: number): EventHandle | undefined {
    const event = this.#events.get(address)
    if (event === undefined || event === NONE) return undefined
    if (!hasPassed(this.#context, event)) return event
    this.forget(address)
    return undefined
  }

  /** Called when the memory is freed or its birth is over. */
  forget(address: number): void {
    const event = this.#events.get(address)
    if (event === undefined || event === NONE) return
    if (this.#events.size > KEPT) this.#events.delete(address)
    else this.#events.set(address, NONE)
    this.#pool.release(event)
  }

  close(): void {
    for (const event of this.#events.values()) if (event !== NONE) this.#pool.release(event)
    this.#events.clear()
  }
}

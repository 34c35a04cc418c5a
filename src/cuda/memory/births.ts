/** Where arrays begin: an event behind memory that was handed out early, or behind the first contents. */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/events.js"

/** Beyond this many, an older birth is asked whether it is over for each one that is added. */
const MOST_UNASKED = 1024

/** The births of one device's memory that are not known to be over. */
export class Births {
  readonly #context: CudaContext
  readonly #pool: EventPool
  /** By the address, the oldest first. */
  readonly #events = new Map<number, EventHandle>()

  constructor(context: CudaContext, pool: EventPool) {
    this.#context = context
    this.#pool = pool
  }

  /** The memory is born behind what is queued on the stream now. @throws CudaError, with the former birth kept */
  note(address: number, stream: StreamHandle): void {
    const event = this.#pool.record(stream)
    this.forget(address)
    this.#events.set(address, event)
    if (this.#events.size > MOST_UNASKED) this.#askOldest()
  }

  #askOldest(): void {
    for (const [address, event] of this.#events) {
      const isOver = hasPassed(this.#context, event)
      this.#events.delete(address)
      if (isOver) this.#pool.give(event)
      else this.#events.set(address, event)
      return
    }
  }

  /** What a stream has to wait for to be behind the birth; undefined if that is over. @throws DeviceLostError, CudaError */
  pending(address: number): EventHandle | undefined {
    const event = this.#events.get(address)
    if (event === undefined || !hasPassed(this.#context, event)) return event
    this.forget(address)
    return undefined
  }

  /** The memory is freed, or its birth is over. */
  forget(address: number): void {
    const event = this.#events.get(address)
    if (event === undefined) return
    this.#events.delete(address)
    this.#pool.give(event)
  }

  close(): void {
    for (const event of this.#events.values()) this.#pool.give(event)
    this.#events.clear()
  }
}

import type { EventHandle } from "../../driver/handles.js"
import type { DeviceOrder } from "./device-order.js"

/** A driver's event, and the number of promises that wait for its record. */
interface HeldHandle {
  readonly handle: EventHandle
  holders: number
}

/** The state behind an `Event`. It outlives a forgotten `Event`, and must never refer to that object. */
export class EventState {
  readonly order: DeviceOrder
  readonly timing: boolean
  /** Whether a fork-join has recorded the event and not waited for it yet. */
  held = false
  /** Whether this is a pooled event of the library, for fork-joins that cannot use the caller's event. */
  pooled = false
  #disposed = false
  #shared = false
  /** The driver's event with the latest record. */
  handle: EventHandle
  #current: HeldHandle
  /** Whether records and waits may take the fast path, because none of the special cases applies. */
  isPlain: boolean

  constructor(order: DeviceOrder, timing: boolean) {
    this.order = order
    this.timing = timing
    this.#current = this.#acquire()
    this.handle = this.#current.handle
    this.isPlain = !timing
  }

  #updatePlain(): void {
    this.isPlain = !this.timing && !this.#shared && !this.#disposed && this.#current.holders === 0
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** Whether the user has read the handle, so that other code may record the event and wait for it. */
  get shared(): boolean {
    return this.#shared
  }

  /**
   * Called when the user reads the handle. If the event was never recorded, it gets a new driver event, because a pooled
   * one still has an old record.
   */
  share(isRecorded: boolean): void {
    if (!this.#shared && !isRecorded && !this.timing) {
      const fresh = { handle: this.order.driver.events.create(false), holders: 0 }
      this.order.events.release(this.handle)
      this.#current = fresh
      this.handle = fresh.handle
    }
    this.#shared = true
    this.#updatePlain()
  }

  #acquire(): HeldHandle {
    return { handle: this.timing ? this.order.driver.events.create(true) : this.order.events.acquire(), holders: 0 }
  }

  /**
   * Calls `record`. If promises wait for the current record, it gets another driver event, so that the current record
   * stays. If it throws, the event keeps its record. A shared event keeps its handle; then the driver keeps the point of
   * the promises.
   */
  renew(record: (handle: EventHandle) => void): void {
    if (this.#current.holders === 0 || this.#shared) return record(this.handle)
    const next = this.#acquire()
    try {
      record(next.handle)
    } catch (error) {
      this.#release(next.handle)
      throw error
    }
    this.#current = next
    this.handle = next.handle
    this.#updatePlain()
  }

  /** Called when a promise starts to wait for the current record. */
  hold(): HeldHandle {
    this.#current.holders += 1
    this.#updatePlain()
    return this.#current
  }

  /** Called when that promise has settled. The last one releases a driver event that is no longer the current one. */
  unhold(held: HeldHandle): void {
    held.holders -= 1
    this.#updatePlain()
    if (held.holders === 0 && (this.#disposed || held !== this.#current)) this.#release(held.handle)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#updatePlain()
    if (this.#current.holders === 0) this.#release(this.#current.handle)
  }

  #release(handle: EventHandle): void {
    if (this.order.closed) return
    if (this.timing || this.#shared) this.order.driver.events.destroy(handle)
    else this.order.events.release(handle)
  }
}

import type { EventHandle } from "../../driver.js"
import type { DeviceOrder } from "./device-order.js"

/** An event of the driver's, and how many promises are bound to the record that it stands for. */
interface HeldHandle {
  readonly handle: EventHandle
  holders: number
}

/** An event below its public face: what outlives a forgotten `Event`. */
export class EventState {
  readonly order: DeviceOrder
  readonly timing: boolean
  /** A fork-join holds the event recorded and has not waited for it yet. */
  held = false
  /** Is it one of the library's own, that fork-joins use where the caller's cannot be? */
  pooled = false
  #disposed = false
  #shared = false
  /** The driver's event that the latest record is of. */
  handle: EventHandle
  #current: HeldHandle
  /** Does nothing about it need looking at before it is recorded or waited for? */
  isPlain: boolean

  constructor(order: DeviceOrder, timing: boolean) {
    this.order = order
    this.timing = timing
    this.#current = this.#acquire()
    this.handle = this.#current.handle
    this.isPlain = !timing
  }

  #look(): void {
    this.isPlain = !this.timing && !this.#shared && !this.#disposed && this.#current.holders === 0
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** Was its handle shown? Then others may record and wait for it. */
  get shared(): boolean {
    return this.#shared
  }

  /** Its handle is shown from here on. Without a record, that is a new one: the pool's stands for what it last did. */
  share(isRecorded: boolean): void {
    if (!this.#shared && !isRecorded && !this.timing) {
      const fresh = { handle: this.order.driver.events.create(false), holders: 0 }
      this.order.events.release(this.handle)
      this.#current = fresh
      this.handle = fresh.handle
    }
    this.#shared = true
    this.#look()
  }

  #acquire(): HeldHandle {
    return { handle: this.timing ? this.order.driver.events.create(true) : this.order.events.acquire(), holders: 0 }
  }

  /**
   * Records, by `record`, and leaves the handle that was recorded last to the promises that are bound to it. If that
   * fails, the event stands for what it stood for. A handle that was shown stays the event's: the driver keeps the
   * promises' point.
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
    this.#look()
  }

  /** Binds a promise to the record that the handle stands for now. */
  hold(): HeldHandle {
    this.#current.holders += 1
    this.#look()
    return this.#current
  }

  /** A promise is done with what it held; the last one gives back a handle that nobody else has. */
  unhold(held: HeldHandle): void {
    held.holders -= 1
    this.#look()
    if (held.holders === 0 && (this.#disposed || held !== this.#current)) this.#release(held.handle)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#look()
    if (this.#current.holders === 0) this.#release(this.#current.handle)
  }

  #release(handle: EventHandle): void {
    if (this.order.closed) return
    if (this.timing || this.#shared) this.order.driver.events.destroy(handle)
    else this.order.events.release(handle)
  }
}

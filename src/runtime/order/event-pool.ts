import type { Driver } from "../../driver/driver.js"
import type { EventHandle } from "../../driver/handles.js"

/** The number of events that keep their records for a while after they have been released. */
const LINGERING = 16

/** An event whose record stays valid until it is released, and for a while after that. */
export interface LingeringEvent {
  /** Undefined once the event may have been recorded again. */
  handle: EventHandle | undefined
}

/** A pool of events without timing, because creating an event costs more than recording it. */
export class EventPool {
  readonly #driver: Driver
  readonly #idle: EventHandle[] = []
  readonly #lingering: LingeringEvent[] = []
  /** The index of the oldest lingering event. */
  #oldest = 0

  constructor(driver: Driver) {
    this.#driver = driver
  }

  acquire(): EventHandle {
    return this.#idle.pop() ?? this.#driver.events.create(false)
  }

  /** Releases an event. Waits that were queued for it still wait for the record that they were queued for. */
  release(event: EventHandle): void {
    this.#idle.push(event)
  }

  /** Releases an event whose record stays valid until {@link LINGERING} others have been released. */
  releaseLate(event: LingeringEvent): void {
    const former = this.#lingering[this.#oldest]
    if (former !== undefined) this.#end(former)
    this.#lingering[this.#oldest] = event
    this.#oldest = (this.#oldest + 1) % LINGERING
  }

  #end(event: LingeringEvent): void {
    if (event.handle !== undefined) this.release(event.handle)
    event.handle = undefined
  }

  close(): void {
    for (const event of this.#lingering.splice(0)) this.#end(event)
    for (const event of this.#idle) this.#driver.events.destroy(event)
    this.#idle.length = 0
  }
}

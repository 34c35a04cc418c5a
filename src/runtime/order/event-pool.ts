import type { Driver, EventHandle } from "../../driver.js"

/** So many events keep their records after they have been given back. */
const lingering = 16

/** An event whose record stands until it is given back, and for a while after that. */
export interface LingeringEvent {
  /** Undefined once another record may have taken its place. */
  handle: EventHandle | undefined
}

/** Events without timing, kept for reuse: making one costs more than recording it. */
export class EventPool {
  readonly #driver: Driver
  readonly #idle: EventHandle[] = []
  readonly #lingering: LingeringEvent[] = []
  /** Among the lingering ones, the oldest. */
  #oldest = 0

  constructor(driver: Driver) {
    this.#driver = driver
  }

  acquire(): EventHandle {
    return this.#idle.pop() ?? this.#driver.events.create(false)
  }

  /** Takes an event back. Waits that are queued on it stay bound to the record that they were queued for. */
  release(event: EventHandle): void {
    this.#idle.push(event)
  }

  /** Takes an event back whose record may still be waited for until {@link lingering} others have been given back. */
  releaseLate(event: LingeringEvent): void {
    const former = this.#lingering[this.#oldest]
    if (former !== undefined) this.#end(former)
    this.#lingering[this.#oldest] = event
    this.#oldest = (this.#oldest + 1) % lingering
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

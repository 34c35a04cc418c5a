import type { Driver, EventHandle } from "../../driver.js"

/** Events without timing, kept for reuse: making one costs more than recording it. */
export class EventPool {
  readonly #driver: Driver
  readonly #idle: EventHandle[] = []

  constructor(driver: Driver) {
    this.#driver = driver
  }

  take(): EventHandle {
    return this.#idle.pop() ?? this.#driver.createEvent(false)
  }

  /** Takes an event back. Waits that are queued on it stay bound to the record that they were queued for. */
  give(event: EventHandle): void {
    this.#idle.push(event)
  }

  close(): void {
    for (const event of this.#idle) this.#driver.destroyEvent(event)
    this.#idle.length = 0
  }
}

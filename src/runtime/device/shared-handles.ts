import type { Event } from "./event.js"
import type { EventState } from "../order/event-state.js"
import type { Stream } from "./stream.js"

/**
 * The streams and events of a device whose numbers others know. They stay, whether anything here reaches them or not, as
 * others may still use them: until they are disposed of, or the device is.
 */
export class SharedHandles {
  readonly #streams = new Map<bigint, Stream>()
  /** A stream's numbers. It has another one where it stands in for itself in a conditional's body. */
  readonly #numbers = new Map<Stream, Set<bigint>>()
  readonly #events = new Map<EventState, Event>()

  /** One Stream for each number. */
  stream(handle: bigint): Stream | undefined {
    return this.#streams.get(handle)
  }

  addStream(handle: bigint, stream: Stream): void {
    this.#streams.set(handle, stream)
    const numbers = this.#numbers.get(stream)
    if (numbers === undefined) this.#numbers.set(stream, new Set([handle]))
    else numbers.add(handle)
  }

  forgetStream(stream: Stream): void {
    for (const handle of this.#numbers.get(stream) ?? []) {
      if (this.#streams.get(handle) === stream) this.#streams.delete(handle)
    }
    this.#numbers.delete(stream)
  }

  addEvent(event: Event): void {
    this.#events.set(event.state, event)
  }

  forgetEvent(state: EventState): void {
    this.#events.delete(state)
  }

  /** The device is closed. */
  clear(): void {
    this.#streams.clear()
    this.#numbers.clear()
    this.#events.clear()
  }
}

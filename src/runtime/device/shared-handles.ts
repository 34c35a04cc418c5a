import type { Event } from "./event.js"
import type { EventState } from "../order/event-state.js"
import type { Stream } from "./stream.js"

/**
 * The streams and events of a device whose native handles the user has read. Other code may still use them, so they are kept
 * until they or the device are disposed of, even if JavaScript no longer refers to them.
 */
export class SharedHandles {
  readonly #streams = new Map<bigint, Stream>()
  /** The handles of each stream. Inside the body of a conditional, a stream has another handle. */
  readonly #handles = new Map<Stream, Set<bigint>>()
  readonly #events = new Map<EventState, Event>()

  /** The stream with this handle. */
  stream(handle: bigint): Stream | undefined {
    return this.#streams.get(handle)
  }

  addStream(handle: bigint, stream: Stream): void {
    this.#streams.set(handle, stream)
    const handles = this.#handles.get(stream)
    if (handles === undefined) this.#handles.set(stream, new Set([handle]))
    else handles.add(handle)
  }

  forgetStream(stream: Stream): void {
    for (const handle of this.#handles.get(stream) ?? []) {
      if (this.#streams.get(handle) === stream) this.#streams.delete(handle)
    }
    this.#handles.delete(stream)
  }

  addEvent(event: Event): void {
    this.#events.set(event.state, event)
  }

  forgetEvent(state: EventState): void {
    this.#events.delete(state)
  }

  /** Forgets everything, when the device is closed. */
  clear(): void {
    this.#streams.clear()
    this.#handles.clear()
    this.#events.clear()
  }
}

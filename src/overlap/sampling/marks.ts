/** Timing events recorded on streams. Neighbouring calls may share one, so each counts its users. Events are pooled. */
import type { DriverEvents } from "../../driver/events.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"

/** One record. */
export interface Mark {
  readonly event: EventHandle
  users: number
}

/** See the head of this file. */
export class Marks {
  readonly #events: DriverEvents
  readonly #idle: Mark[] = []

  constructor(events: DriverEvents) {
    this.#events = events
  }

  /** Marks a stream's current place, for one user. @returns undefined if the driver cannot */
  record(stream: StreamHandle): Mark | undefined {
    let mark = this.#idle.pop()
    try {
      mark ??= { event: this.#events.create(true), users: 0 }
      this.#events.record(mark.event, stream)
      mark.users = 1
      return mark
    } catch {
      // If the program's own calls fail in the same way, they say so themselves.
      if (mark !== undefined) this.#idle.push(mark)
      return undefined
    }
  }

  /** One user needs the mark no more. */
  release(mark: Mark | undefined): void {
    if (mark !== undefined && --mark.users === 0) this.#idle.push(mark)
  }

  /** Whether the stream has passed the mark. @throws the error that broke the stream */
  isPassed({ event }: Mark): boolean {
    return this.#events.query(event)
  }

  /** Microseconds between two marks that were passed. */
  between(start: Mark, end: Mark): number {
    return start === end ? 0 : this.#events.elapsedTime(start.event, end.event) * 1e3
  }
}

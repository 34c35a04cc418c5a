import type { EventHandle } from "../../driver/handles.js"
import { RecordPoint } from "../order/record-point.js"
import type { StreamState } from "../order/stream-state.js"

/**
 * The birth of an array inside a capture: the point after the last uses of its memory and after its first contents. Its
 * first use on another stream of the capture gets an edge from that point.
 */
export class CapturedBirth {
  readonly #home: StreamState
  readonly #event: EventHandle
  readonly #point = new RecordPoint()
  readonly #behind = new Set<StreamState>()

  private constructor(home: StreamState, event: EventHandle) {
    this.#home = home
    this.#event = event
  }

  /** A birth after everything that the stream has captured so far. It owns `event` until the capture ends. */
  static on(stream: StreamState, event: EventHandle): CapturedBirth {
    const birth = new CapturedBirth(stream, event)
    stream.record(event, birth.#point)
    return birth
  }

  /** The nodes directly before it. */
  get nodes(): readonly number[] {
    return this.#point.dependencies.map(({ node }) => node)
  }

  /** The name of its stream. */
  get name(): string {
    return this.#home.name
  }

  /** Makes the stream's next operation run after it. */
  orderBefore(stream: StreamState): void {
    if (this.isBefore(stream)) return
    stream.waitForBirth(this.#event, this.#point)
    this.#behind.add(stream)
  }

  /** Whether the stream's next operation runs after it. */
  isBefore(stream: StreamState): boolean {
    return stream === this.#home || this.#behind.has(stream) || this.#point.isBefore(stream)
  }
}

import type { EventHandle } from "../../driver.js"
import { RecordPoint } from "../order/record-point.js"
import type { StreamState } from "../order/stream-state.js"

/**
 * Where an array that is made inside a capture begins there: behind the last uses of its memory, and behind the first
 * contents. Its first use on another stream of the capture gets an edge from that point.
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

  /** Behind all that the stream has captured so far. `event` is the birth's until the capture is over. */
  static on(stream: StreamState, event: EventHandle): CapturedBirth {
    const birth = new CapturedBirth(stream, event)
    stream.record(event, birth.#point)
    return birth
  }

  /** The nodes that it is directly behind. */
  get nodes(): readonly number[] {
    return this.#point.dependencies.map(({ node }) => node)
  }

  /** The stream that it is on. */
  get name(): string {
    return this.#home.name
  }

  /** Makes the stream's next operation come behind it. */
  orderBefore(stream: StreamState): void {
    if (this.isBefore(stream)) return
    stream.waitForBirth(this.#event, this.#point)
    this.#behind.add(stream)
  }

  /** Does the stream's next operation come behind it? */
  isBefore(stream: StreamState): boolean {
    return stream === this.#home || this.#behind.has(stream) || this.#point.isBefore(stream)
  }
}

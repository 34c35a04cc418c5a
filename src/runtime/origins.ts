import { emptyClock } from "./clock.js"
import type { UsedMemory } from "./operation.js"
import type { StreamState } from "./stream-state.js"

/** The allocations of many pieces of memory, as one point in the order: behind the newest one of each stream. */
export class Origins {
  #clock = emptyClock
  readonly #streams = new Set<StreamState>()

  add({ origin }: UsedMemory): void {
    if (origin === undefined) return
    const { stream, tick } = origin
    this.#streams.add(stream)
    this.#clock = this.#clock.with(stream.slot, tick)
  }

  /** Makes the stream's next operation run after all of the allocations. */
  orderBefore(stream: StreamState): void {
    if (this.#clock.isCoveredBy(stream)) return
    for (const origin of this.#streams) if (origin !== stream) stream.waitFor(origin)
  }
}

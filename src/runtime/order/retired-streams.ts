import type { DeviceOrder } from "./device-order.js"
import { Rounds } from "../../common/rounds.js"
import type { StreamState } from "./stream-state.js"

/** Streams that have been disposed of and may still have work. Once it is done, the host's clock learns it and their slots are free. */
export class RetiredStreams {
  readonly #order: DeviceOrder
  readonly #streams = new Rounds<StreamState>()

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /** Adds a stream whose `end` was recorded after its last work, unless the device is lost. */
  add(state: StreamState): void {
    this.#streams.add(state)
  }

  [Symbol.iterator](): Iterator<StreamState> {
    return this.#streams[Symbol.iterator]()
  }

  /** Checks a few of the streams, and releases the slots of those whose work is done. */
  reap(): void {
    if (this.#order.capturing === 0) this.#streams.take((state) => this.#isOver(state))
  }

  /** Checks all of them. */
  reapAll(): void {
    if (this.#order.capturing === 0) this.#streams.takeAll((state) => this.#isOver(state))
  }

  #isOver(state: StreamState): boolean {
    const { events, slots } = this.#order
    if (state.end === undefined || !this.#order.hasPassed(state.end)) return state.end === undefined
    this.#order.hostLearns(state.clock)
    events.release(state.end)
    state.end = undefined
    slots.release(state.slot, state.tick)
    return true
  }

  /** The device is closed: nothing has to be waited for any more. */
  close(): void {
    const { driver } = this.#order
    for (const { end } of this.#streams) if (end !== undefined) driver.events.destroy(end)
    this.#streams.clear()
  }
}

import type { EventHandle, PinnedMemory } from "../driver.js"
import { VectorClock } from "./clock.js"
import type { DeviceOrder } from "./order.js"
import type { UsedMemory } from "./operation.js"
import type { StreamState } from "./stream-state.js"
import { type Use, Uses } from "./uses.js"

/** Pinned memory below its public face. It must not lead to the buffer, whose collection is waited for. */
export class PinnedAllocation implements UsedMemory {
  readonly address: number
  readonly uses = new Uses()
  disposed = false

  constructor(memory: PinnedMemory) {
    this.address = memory.address
  }

  /** Pinned memory is valid from the start. */
  orderBefore(): void {}
}

/** A use whose end is waited for: known from the host's clock, or from an event recorded behind it. */
interface PendingUse {
  readonly use: Use
  readonly event: EventHandle | undefined
}

/**
 * The pinned memory of one device whose buffers have been collected, and whose uses may still be queued. It is looked
 * at when more is collected or wanted, so that it holds up neither a stream nor the process.
 */
export class PinnedLimbo {
  readonly #order: DeviceOrder
  #waiting: { address: number; pending: PendingUse[] }[] = []

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /** Takes over memory whose buffer nothing reaches any more. */
  add(allocation: PinnedAllocation): void {
    const uses = allocation.uses.list()
    if (this.#order.closed || uses.every((use) => this.#isKnown(use))) {
      return this.#order.driver.freePinned(allocation.address)
    }
    const pending = uses.map((use) => ({ use, event: this.#eventBehind(use.stream) }))
    this.#waiting.push({ address: allocation.address, pending })
    this.sweep()
  }

  /** Without one, the use is over as soon as the host happens to know. */
  #eventBehind(stream: StreamState): EventHandle | undefined {
    if (stream.disposed) return undefined // Its end reaches the host's clock by itself.
    const { events } = this.#order
    let event: EventHandle | undefined
    try {
      event = events.take()
      stream.record(event, new VectorClock())
    } catch {
      // This may be a finalizer, from which nothing may be thrown.
      if (event !== undefined) events.give(event)
      return undefined
    }
    return event
  }

  #isKnown({ stream, tick }: Use): boolean {
    return this.#order.hostClock.covers(stream.slot, tick)
  }

  /** Frees what is no longer in use. */
  sweep(): void {
    if (this.#waiting.length === 0) return
    this.#order.reapRetired()
    this.#waiting = this.#waiting.filter(({ address, pending }) => {
      if (!pending.every((one) => this.#isOver(one))) return true
      for (const { event } of pending) if (event !== undefined) this.#order.events.give(event)
      this.#order.driver.freePinned(address)
      return false
    })
  }

  /** The device is closed: its driver frees what is left once its queued work is over. */
  close(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { address } of waiting) this.#order.driver.freePinned(address)
  }

  #isOver({ use, event }: PendingUse): boolean {
    if (this.#isKnown(use)) return true
    return event !== undefined && this.#order.hasPassed(event)
  }
}

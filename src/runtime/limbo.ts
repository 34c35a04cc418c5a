import type { EventHandle } from "../driver.js"
import type { DeviceOrder } from "./order.js"
import { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"
import type { Use } from "./uses.js"

/** A use whose end is waited for: known from the host's clock, or from an event recorded behind it. */
interface PendingUse {
  readonly use: Use
  readonly event: EventHandle | undefined
}

/**
 * What is to be given back outside every stream's order, once queued work no longer uses it: pinned memory, graphs.
 * It is looked at when more comes in or is wanted, so that it holds up neither a stream nor the process.
 */
export class Limbo {
  readonly #order: DeviceOrder
  #waiting: { pending: PendingUse[]; giveBack: () => void }[] = []

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /** Calls `giveBack` once the uses are over, sooner or later. */
  add(uses: readonly Use[], giveBack: () => void): void {
    if (uses.every((use) => this.#isKnown(use))) return giveBack()
    const pending = uses.map((use) => ({ use, event: this.#eventBehind(use.stream) }))
    this.#waiting.push({ pending, giveBack })
    this.sweep()
  }

  /** Without one, the use is over as soon as the host happens to know. */
  #eventBehind(stream: StreamState): EventHandle | undefined {
    if (stream.disposed) return undefined // Its end reaches the host's clock by itself.
    const { events } = this.#order
    let event: EventHandle | undefined
    try {
      event = events.take()
      stream.record(event, new RecordPoint())
    } catch {
      // This may be a finalizer, from which nothing may be thrown.
      if (event !== undefined) events.give(event)
      return undefined
    }
    return event
  }

  /** Gives back what is no longer in use. */
  sweep(): void {
    if (this.#waiting.length === 0 || this.#order.capturing > 0) return
    this.#order.reapRetired()
    this.#waiting = this.#waiting.filter(({ pending, giveBack }) => {
      if (!pending.every((one) => this.#isOver(one))) return true
      for (const { event } of pending) if (event !== undefined) this.#order.events.give(event)
      giveBack()
      return false
    })
  }

  /** Blocks until all uses are over, and gives everything back. */
  drain(): void {
    for (const { pending } of this.#waiting) for (const one of pending) this.#synchronize(one)
    this.sweep()
  }

  #synchronize({ use, event }: PendingUse): void {
    const end = event ?? use.stream.end
    if (end === undefined || this.#isKnown(use)) return
    try {
      this.#order.driver.synchronizeEvent(end)
    } catch {
      // A broken stream has come to that point all the same; any other failure leaves the memory where it is.
    }
  }

  #isKnown({ stream, tick }: Use): boolean {
    return this.#order.hostClock.covers(stream.slot, tick)
  }

  #isOver({ use, event }: PendingUse): boolean {
    if (this.#isKnown(use)) return true
    return event !== undefined && this.#order.hasPassed(event)
  }

  /** The device is closed: everything is the driver's to give back, behind its last work. */
  close(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { giveBack } of waiting) giveBack()
  }
}

import type { EventHandle } from "../../driver.js"
import { Rounds } from "../../common/rounds.js"
import type { DeviceOrder } from "./device-order.js"
import { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"
import type { Use } from "./use.js"

/** A use whose end is waited for: known from the host's clock, or from an event recorded behind it. */
interface PendingUse {
  readonly use: Use
  readonly event: EventHandle | undefined
}

/** Something to give back, and the uses that it waits for. */
interface Waiting {
  readonly pending: readonly PendingUse[]
  readonly release: () => void
}

/**
 * What is to be given back outside every stream's order, once queued work no longer uses it: pinned memory, graphs.
 * It is looked at when more comes in or is wanted, so that it holds up neither a stream nor the process.
 */
export class DeferredReleases {
  readonly #order: DeviceOrder
  readonly #waiting = new Rounds<Waiting>()

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /** Calls `release` once the uses are over, sooner or later. */
  add(uses: readonly Use[], release: () => void): void {
    if (uses.every((use) => this.#isKnown(use))) return release()
    const pending = uses.map((use) => ({ use, event: this.#eventBehind(use.stream) }))
    this.#waiting.add({ pending, release })
    this.sweep()
  }

  /** Without one, the use is over as soon as the host happens to know. */
  #eventBehind(stream: StreamState): EventHandle | undefined {
    if (stream.disposed) return undefined // Its end reaches the host's clock by itself.
    const { events } = this.#order
    let event: EventHandle | undefined
    try {
      event = events.acquire()
      stream.record(event, new RecordPoint())
    } catch {
      // This may be a finalizer, from which nothing may be thrown.
      if (event !== undefined) events.release(event)
      return undefined
    }
    return event
  }

  /** Gives back what is no longer in use, of a few that are looked at in their turn. */
  sweep(): void {
    if (this.#waiting.size === 0 || this.#order.capturing > 0) return
    this.#order.reapRetired()
    for (const one of this.#waiting.take((waiting) => this.#isOver(waiting))) this.#end(one)
  }

  /** Blocks until all uses are over, and gives everything back. */
  drain(): void {
    for (const { pending } of this.#waiting) for (const one of pending) this.#synchronize(one)
    if (this.#order.capturing > 0) return
    this.#order.reapAllRetired()
    for (const one of this.#waiting.takeAll((waiting) => this.#isOver(waiting))) this.#end(one)
  }

  #synchronize({ use, event }: PendingUse): void {
    const end = event ?? use.stream.end
    if (end === undefined || this.#isKnown(use)) return
    try {
      this.#order.driver.events.synchronize(end)
    } catch {
      // A broken stream has come to that point all the same; any other failure leaves the memory where it is.
    }
  }

  #isKnown({ stream, tick }: Use): boolean {
    return this.#order.hostClock.isAfter(stream.slot, tick)
  }

  #isOver({ pending }: Waiting): boolean {
    return pending.every(({ use, event }) => {
      return this.#isKnown(use) || (event !== undefined && this.#order.hasPassed(event))
    })
  }

  #end({ pending, release }: Waiting): void {
    for (const { event } of pending) if (event !== undefined) this.#order.events.release(event)
    release()
  }

  /** The device is closed: everything is the driver's to give back, behind its last work. */
  close(): void {
    for (const { release } of this.#waiting.clear()) release()
  }
}

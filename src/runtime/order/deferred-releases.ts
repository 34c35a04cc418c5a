import type { EventHandle } from "../../driver/handles.js"
import { Rounds } from "../../common/rounds.js"
import type { DeviceOrder } from "./device-order.js"
import { RecordPoint } from "./record-point.js"
import type { StreamState, Use } from "./stream-state.js"

/** A use that may not be over. The host's clock, or an event recorded after the use, tells when it is. */
interface PendingUse {
  readonly use: Use
  readonly event: EventHandle | undefined
}

/** A release, and the uses that must be over before it. */
interface Waiting {
  readonly pending: readonly PendingUse[]
  readonly release: () => void
}

/** The number of held releases that are retried at each creation, so that thousands of them cost no more than a few. */
const RETRIES = 4

/**
 * Releases pinned memory and graphs once queued work no longer uses them. No stream can do this in its order. They are
 * checked whenever something is added or allocated, so that neither a stream nor the process waits for them.
 *
 * While another library captures a stream, nothing tells when its work is over. Releases that depend on that are held, and
 * retried when something is created.
 */
export class DeferredReleases {
  readonly #order: DeviceOrder
  readonly #waiting = new Rounds<Waiting>()
  readonly #held: (() => void)[] = []

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /** Calls `release` once the uses are over and no capture is open. */
  add(uses: readonly Use[], release: () => void): void {
    const { captures, closed } = this.#order
    if (closed) return release()
    captures.defer(() => {
      if (this.areHeld(uses)) this.hold(() => this.add(uses, release))
      else this.#await(uses, release)
    })
  }

  /** Whether another library captures the stream of a use. */
  areHeld(uses: readonly Use[]): boolean {
    return uses.some(({ stream }) => this.#order.isCapturedByOthers(stream))
  }

  /** Keeps a release, to be retried when something is created. */
  hold(release: () => void): void {
    this.#held.push(release)
  }

  retryHeld(count = RETRIES): void {
    if (this.#held.length === 0 || this.#order.capturing > 0) return
    for (const release of this.#held.splice(0, count)) release()
  }

  #await(uses: readonly Use[], release: () => void): void {
    if (uses.every((use) => this.#isKnown(use))) return release()
    const pending = uses.map((use) => ({ use, event: this.#eventBehind(use.stream) }))
    this.#waiting.add({ pending, release })
    this.sweep()
  }

  /** Records an event after the use. Without an event, the host's clock tells when the use is over. */
  #eventBehind(stream: StreamState): EventHandle | undefined {
    if (stream.disposed) return undefined // The host's clock learns its end in any case.
    const { events } = this.#order
    let event: EventHandle | undefined
    try {
      event = events.acquire()
      stream.record(event, new RecordPoint())
    } catch {
      // This may run in a finalizer, which must not throw.
      if (event !== undefined) events.release(event)
      return undefined
    }
    return event
  }

  /** Checks a few of the waiting releases, and makes those whose uses are over. */
  sweep(): void {
    if (this.#waiting.size === 0 || this.#order.capturing > 0) return
    this.#order.retired.reap()
    for (const one of this.#waiting.take((waiting) => this.#isOver(waiting))) this.#end(one)
  }

  /** Blocks until all uses are over, and releases everything. */
  drain(): void {
    this.retryHeld(this.#held.length)
    for (const { pending } of this.#waiting) for (const one of pending) this.#synchronize(one)
    if (this.#order.capturing > 0) return
    this.#order.retired.reapAll()
    for (const one of this.#waiting.takeAll((waiting) => this.#isOver(waiting))) this.#end(one)
  }

  #synchronize({ use, event }: PendingUse): void {
    const end = event ?? use.stream.end
    if (end === undefined || this.#isKnown(use)) return
    try {
      this.#order.driver.events.synchronize(end)
    } catch {
      // On a broken stream, the use is over anyway. After any other failure the memory stays reserved.
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

  /** The device is closed: passes everything to the driver, which frees it after the last work. */
  close(): void {
    for (const release of this.#held.splice(0)) release()
    for (const { release } of this.#waiting.clear()) release()
  }
}

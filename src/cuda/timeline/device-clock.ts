/**
 * Converts a GPU's time into the host's. Events tell only how much time lies between two of them, as a 32-bit float, whose
 * steps grow with the distance. So an anchor is recorded now and then: an event whose time on the host is known, because its
 * stream was idle. Operations are measured from the newest anchor.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import { now, sharedOffset } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import { SUCCESS } from "../api/status.js"
import { type EventPool, hasPassed } from "../stream/event-pool.js"

/** The best of so many anchors is kept: the one that took the least time. */
const TRIALS = 8
/** An anchor that has not been reached after so many milliseconds is given up: the first one, and later ones. */
const FIRST_PATIENCE = 2000
const PATIENCE = 10

/** An event whose time is known. */
export interface Anchor {
  readonly event: EventHandle
  /** Milliseconds on the host's clock, and on the GPU's since the first anchor. */
  readonly host: number
  readonly device: number
}

export class DeviceClock {
  readonly #context: CudaContext
  readonly #events: EventPool
  readonly #stream: StreamHandle
  readonly #offset = sharedOffset()
  readonly #anchors: Anchor[] = []
  /** Milliseconds of the host's clock in one of the GPU's. */
  #rate = 1

  /** @param stream a stream for the anchors alone */
  constructor(context: CudaContext, events: EventPool, stream: StreamHandle) {
    this.#context = context
    this.#events = events
    this.#stream = stream
    this.anchor()
  }

  /** The newest anchor. */
  get newest(): Anchor | undefined {
    return this.#anchors.at(-1)
  }

  /** Records an anchor. Keeps the former one if the GPU does not answer soon. */
  anchor(): void {
    let best: { readonly event: EventHandle; readonly host: number; readonly width: number } | undefined
    for (let trial = 0; trial < TRIALS; trial++) {
      const tried = this.#try()
      if (tried === undefined) break
      if (best !== undefined) this.#events.release(tried.width < best.width ? best.event : tried.event)
      if (best === undefined || tried.width < best.width) best = tried
    }
    if (best !== undefined) this.#add(best.event, best.host)
  }

  /** Milliseconds on the host's clock of an event that is complete. */
  timeOf(event: EventHandle, anchor: Anchor): number {
    const [first = anchor] = this.#anchors
    return first.host + (anchor.device + this.between(anchor.event, event)) * this.#rate
  }

  /** Milliseconds of the host's clock between two complete events. */
  lasted(start: EventHandle, end: EventHandle): number {
    return this.between(start, end) * this.#rate
  }

  /** Milliseconds of the GPU's clock between two complete events. */
  between(start: EventHandle, end: EventHandle): number {
    const { calls, out } = this.#context
    const status = calls.cuEventElapsedTime(out.address, start, end)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventElapsedTime", out.address, start, end)
    return out.float(0)
  }

  close(): void {
    for (const { event } of this.#anchors.splice(0)) this.#events.release(event)
  }

  #try(): { readonly event: EventHandle; readonly host: number; readonly width: number } | undefined {
    const patience = this.newest === undefined ? FIRST_PATIENCE : PATIENCE
    const before = now()
    const event = this.#events.record(this.#stream)
    while (!hasPassed(this.#context, event)) {
      if (now() - before < patience) continue
      this.#events.release(event)
      return undefined
    }
    const after = now()
    return { event, host: this.#offset + (before + after) / 2, width: after - before }
  }

  #add(event: EventHandle, host: number): void {
    const { newest } = this
    const [first] = this.#anchors
    const device = newest === undefined ? 0 : newest.device + this.between(newest.event, event)
    if (first !== undefined && device > 0) this.#rate = (host - first.host) / device
    this.#anchors.push({ event, host, device })
  }
}

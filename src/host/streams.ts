import type { EventHandle, StreamHandle } from "../driver/handles.js"
import type { DriverStreams, StreamFailures } from "../driver/streams.js"
import { AuxstreamError } from "../common/errors.js"
import type { Points } from "./completion/points.js"
import type { Captures } from "./graph/captures.js"
import type { EventTable } from "./queue/event-table.js"
import type { Failures } from "./queue/failures.js"
import type { Queues } from "./queue/queues.js"
import type { StreamTable } from "./queue/stream-table.js"
import type { Waits } from "./queue/waits.js"

/** What {@link HostStreams} is made of. */
export interface StreamParts {
  readonly table: StreamTable
  readonly queues: Queues
  readonly events: EventTable
  readonly points: Points
  readonly waits: Waits
  readonly captures: Captures
  readonly failures: Failures
}

/** The streams of the host device. */
export class HostStreams implements DriverStreams {
  readonly #table: StreamTable
  readonly #queues: Queues
  readonly #events: EventTable
  readonly #points: Points
  readonly #waits: Waits
  readonly #captures: Captures
  readonly #failures: Failures

  constructor({ table, queues, events, points, waits, captures, failures }: StreamParts) {
    this.#table = table
    this.#queues = queues
    this.#events = events
    this.#points = points
    this.#waits = waits
    this.#captures = captures
    this.#failures = failures
  }

  create(priority: number, name?: string): StreamHandle {
    this.#queues.check()
    return this.#table.create(priority, false, name).handle
  }

  destroy(stream: StreamHandle): void {
    this.#table.destroy(stream)
  }

  adopt(foreign: bigint): StreamHandle {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `The host device cannot adopt the stream with handle ${foreign}, because no other library makes streams for it. ` +
        "Use device.createStream().",
    )
  }

  /** Streams cannot be adopted. */
  priorityOf(): number {
    return 0
  }

  foreignHandle(stream: StreamHandle): bigint {
    this.#queues.check()
    return BigInt(stream)
  }

  isCapturedByOthers(): boolean {
    return false
  }

  watchFailures(stream: StreamHandle): StreamFailures {
    return this.#failures.watch(this.#table.get(stream))
  }

  query(stream: StreamHandle): boolean {
    this.#queues.check()
    const target = this.#table.get(stream)
    return this.#points.query(target, target.slot.tail)
  }

  synchronize(stream: StreamHandle): void {
    this.#queues.check()
    const target = this.#table.get(stream)
    this.#points.synchronize(target, target.slot.tail)
  }

  wait(stream: StreamHandle, event: EventHandle): void {
    this.#queues.check()
    const target = this.#table.get(stream)
    const record = this.#events.get(event)
    if (record.captured === undefined) this.#waits.waitForRecord(target, record)
    else this.#captures.wait(target, record.captured)
  }
}

import type { DriverEvents } from "../../driver/events.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import { AuxstreamError } from "../../common/errors.js"
import type { Commands } from "../queue/commands.js"
import type { EventTable } from "../queue/event-table.js"
import type { Queues } from "../queue/queues.js"
import type { Completion } from "./completion.js"
import type { Points } from "./points.js"

/** The events of the host device. An event without a record is complete. */
export class HostEvents implements DriverEvents {
  readonly #table: EventTable
  readonly #queues: Queues
  readonly #commands: Commands
  readonly #points: Points
  readonly #completion: Completion

  constructor(table: EventTable, queues: Queues, commands: Commands, points: Points, completion: Completion) {
    this.#table = table
    this.#queues = queues
    this.#commands = commands
    this.#points = points
    this.#completion = completion
  }

  create(timing: boolean): EventHandle {
    this.#queues.check()
    return this.#table.create(timing)
  }

  destroy(event: EventHandle): void {
    this.#table.destroy(event)
  }

  foreignHandle(event: EventHandle): bigint {
    this.#queues.check()
    return BigInt(event)
  }

  record(event: EventHandle, stream: StreamHandle): boolean {
    this.#queues.check()
    const recorded = this.#table.get(event)
    const target = this.#queues.get(stream)
    recorded.captured = target.branch?.record()
    if (recorded.timing && recorded.captured === undefined) {
      this.#commands.stamp(target.slot, this.#table.stampFor(recorded, target, target.slot.tail + 1))
      this.#queues.submit(target)
    }
    recorded.stream = target
    recorded.position = target.slot.tail
    return false
  }

  query(event: EventHandle): boolean {
    this.#queues.check()
    const { stream, position } = this.#table.get(event)
    return stream === undefined || this.#points.query(stream, position)
  }

  synchronize(event: EventHandle): void {
    this.#queues.check()
    const { stream, position } = this.#table.get(event)
    if (stream !== undefined) this.#points.synchronize(stream, position)
  }

  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void {
    this.#queues.check()
    const { stream, position } = this.#table.get(event)
    return stream === undefined ? this.#completion.addPassed(settle) : this.#completion.add(stream, position, settle)
  }

  /** Milliseconds. @throws AuxstreamError AUX_NOT_READY */
  elapsedTime(start: EventHandle, end: EventHandle): number {
    this.#queues.check()
    return this.#timeOf(end, "end") - this.#timeOf(start, "start")
  }

  #timeOf(handle: EventHandle, which: string): number {
    const event = this.#table.get(handle)
    const { stream, position, timing } = event
    if (timing && stream !== undefined && this.#points.query(stream, position)) return this.#table.timeOf(event)
    throw new AuxstreamError(
      "AUX_NOT_READY",
      `The ${which} event ${timing ? "is not done yet" : "was created without timing"}. Create both events with ` +
        "{ timing: true }, record them, and wait for them before you ask for the elapsed time.",
    )
  }
}

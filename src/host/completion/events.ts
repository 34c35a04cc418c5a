import { AuxstreamError } from "../../common/errors.js"
import type { Commands } from "../queue/commands.js"
import type { Completion } from "./completion.js"
import type { EventTable, HostEvent } from "../queue/event-table.js"
import type { Points } from "./points.js"
import type { HostStream } from "../queue/stream.js"

/** Records events and asks about their latest records. An event without a record is complete. */
export class Events {
  constructor(
    private readonly table: EventTable,
    private readonly commands: Commands,
    private readonly points: Points,
    private readonly completion: Completion,
    private readonly submit: (stream: HostStream) => void,
  ) {}

  record(event: HostEvent, stream: HostStream): void {
    event.captured = stream.branch?.record()
    if (event.timing && event.captured === undefined) {
      this.commands.stamp(stream.slot, this.table.stampFor(event, stream, stream.slot.tail + 1))
      this.submit(stream)
    }
    event.stream = stream
    event.position = stream.slot.tail
  }

  query({ stream, position }: HostEvent): boolean {
    return stream === undefined || this.points.query(stream, position)
  }

  synchronize({ stream, position }: HostEvent): void {
    if (stream !== undefined) this.points.synchronize(stream, position)
  }

  whenComplete({ stream, position }: HostEvent, settle: (error?: Error) => void): () => void {
    return stream === undefined ? this.completion.addPassed(settle) : this.completion.add(stream, position, settle)
  }

  /** Milliseconds. @throws AuxstreamError AUX_NOT_READY */
  elapsedTime(start: HostEvent, end: HostEvent): number {
    return this.timeOf(end, "end") - this.timeOf(start, "start")
  }

  private timeOf(event: HostEvent, which: string): number {
    const { stream, position, timing } = event
    if (timing && stream !== undefined && this.points.query(stream, position)) return this.table.timeOf(event)
    throw new AuxstreamError(
      "AUX_NOT_READY",
      `the ${which} event ${timing ? "has not completed a record yet" : "was created without timing"}: ` +
        "create both events with { timing: true }, record them, and wait for them before you ask for the elapsed time",
    )
  }
}

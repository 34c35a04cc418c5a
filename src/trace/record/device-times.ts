/**
 * The timeline of one device while a recorder runs: passes the times of its operations into the log. A device that cannot tell
 * times is traced without.
 */
import type { EventHandle } from "../../driver/handles.js"
import type { QueueManner, TimedNode, TimedWork, TimelineSink, Timeline, TimeSource } from "../../driver/timeline.js"
import { showThrown } from "../../common/show.js"
import { sleep } from "../../common/timers.js"
import { warn } from "../../common/warn.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import type { LoggedOperation } from "./log.js"
import { hasLoop } from "./loops.js"

/** Work that another library queued. */
export interface StrangeWork {
  readonly stream: string
  readonly node: TimedWork
}

export class DeviceTimes implements TimelineSink {
  readonly order: DeviceOrder
  readonly foreign: StrangeWork[] = []
  /** The streams that have been used, for {@link settle}. */
  readonly #streams = new Set<StreamState>()
  readonly #operations: readonly (LoggedOperation | undefined)[]
  readonly #timeline: Timeline | undefined
  #lost = 0
  #isClosed = false

  /** @param operations the log's operations by number */
  constructor(
    order: DeviceOrder,
    operations: readonly (LoggedOperation | undefined)[],
    source: TimeSource | undefined,
    capacity: number,
  ) {
    this.order = order
    this.#operations = operations
    try {
      this.#timeline = order.driver.startTimeline?.(this, source, capacity)
    } catch (error) {
      warn("AUX_TRACE", `A trace has no times of the ${order.driver.kind} device: ${showThrown(error)}`)
    }
  }

  get source(): TimeSource | undefined {
    return this.#timeline?.source
  }

  get recordsLost(): number {
    return this.#lost
  }

  begin(operation: LoggedOperation, stream: StreamState): void {
    this.#streams.add(stream)
    this.#timeline?.begin(operation.number, stream.handle, mannerOf(operation))
  }

  end(operation: LoggedOperation, stream: StreamState): void {
    const isTimed = this.#timeline?.end(operation.number, stream.handle, mannerOf(operation)) ?? false
    // External work may be none.
    operation.isTimed = isTimed && operation.kind !== "external"
  }

  collect(): void {
    if (!this.#isClosed) this.#timeline?.collect()
  }

  /** Resolves once everything queued so far on the used streams is over, successful or not. Teaches no clock anything. */
  async settle(): Promise<void> {
    await Promise.all(Array.from(this.#streams, (stream) => this.#passed(stream)))
    while (!this.#isClosed && this.#timeline?.collect(true) === true) await sleep(0)
  }

  /** Ends the timeline. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timeline?.stop()
  }

  ran(number: number, start: number, end: number): void {
    const operation = this.#operations[number]
    if (operation === undefined) return
    if (!(operation.start <= start)) operation.start = start
    if (!(operation.end >= end)) operation.end = end
  }

  nodeRan(number: number, node: TimedNode): void {
    const operation = this.#operations[number]
    if (operation === undefined) return
    this.ran(number, node.start, node.end)
    ;(operation.nodes ??= []).push(node)
  }

  strangerRan(stream: string, node: TimedWork): void {
    this.foreign.push({ stream, node })
  }

  lost(count: number): void {
    this.#lost += count
  }

  /** Resolves once everything queued on a stream so far, outside of captures, is over. */
  async #passed(stream: StreamState): Promise<void> {
    const { order } = this
    if (order.closed) return
    if (stream.disposed) return this.#reached(stream.end)
    if (stream.capture !== undefined) return this.#reached(stream.beforeCapture)
    if (order.isCapturedByOthers(stream)) return
    const event = order.events.acquire()
    try {
      order.driver.events.record(event, stream.handle)
      await this.#reached(event)
    } catch {
      // A broken stream, or a lost device: nothing more will run.
    }
    if (!order.closed) order.events.release(event)
  }

  #reached(event: EventHandle | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (event === undefined) resolve()
      else this.order.driver.events.whenComplete(event, () => resolve())
    })
  }
}

function mannerOf({ kind, outline }: LoggedOperation): QueueManner {
  if (kind === "matmul" || kind === "external") return "library"
  return outline !== undefined && hasLoop(outline) ? "loop" : "plain"
}

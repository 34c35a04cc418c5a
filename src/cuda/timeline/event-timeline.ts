/**
 * A timeline from two timing events around each operation. Reading an event takes some ten microseconds, so events are read in
 * batches, after the operations are over. A launch of a graph is one operation.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { Timeline, TimelineSink } from "../../driver/timeline.js"
import { now } from "../../common/timers.js"
import type { CudaContext } from "../api/context.js"
import type { Captures } from "../stream/captures.js"
import { EventPool, hasPassed } from "../stream/event-pool.js"
import type { Streams } from "../stream/streams.js"
import { type Anchor, DeviceClock } from "./device-clock.js"

/** Milliseconds between anchors. */
const ANCHOR_EVERY = 1000
/** Milliseconds that one collection may take while there is room for more operations. */
const BATCH = 5
/** Milliseconds by which clocks may seem to disagree about the order of a stream's operations. */
const TOLERANCE = 0.02

/** Events that record times. */
const TIMING = 0

/** An operation with its events. */
interface Timed {
  readonly operation: number
  readonly start: EventHandle
  readonly end: EventHandle
  readonly anchor: Anchor
  /** Whether it was queued inside another one's events. */
  readonly isInner: boolean
}

/** The operations of one stream that have not been read yet, and when the last one that was read ended. */
interface Lane {
  readonly pending: Timed[]
  lastEnd: number
}

/** What a timeline needs from its driver. */
export interface TimelineParts {
  readonly context: CudaContext
  readonly captures: Captures
  readonly streams: Streams
}

export class EventTimeline implements Timeline {
  readonly source = "events"
  readonly #parts: TimelineParts
  readonly #sink: TimelineSink
  readonly #capacity: number
  readonly #events: EventPool
  readonly #clock: DeviceClock
  readonly #anchorStream: StreamHandle
  readonly #lanes = new Map<StreamHandle, Lane>()
  /** The start events of the operations that have begun and not ended; undefined for one that is not timed. */
  readonly #open: ({ readonly start: EventHandle; readonly anchor: Anchor } | undefined)[] = []
  #inFlight = 0
  #anchored = now()
  #isOver = false

  constructor(parts: TimelineParts, sink: TimelineSink, capacity: number) {
    this.#parts = parts
    this.#sink = sink
    this.#capacity = capacity
    this.#events = new EventPool(parts.context, TIMING)
    this.#anchorStream = parts.streams.create(0)
    this.#clock = new DeviceClock(parts.context, this.#events, this.#anchorStream)
  }

  begin(_operation: number, stream: StreamHandle): void {
    if (this.#inFlight + this.#open.length >= this.#capacity) this.collect()
    const { newest } = this.#clock
    const hasRoom = this.#inFlight + this.#open.length < this.#capacity && newest !== undefined
    if (!hasRoom) this.#sink.lost(1)
    const start = hasRoom && !this.#isCaptured(stream) ? this.#record(stream) : undefined
    this.#open.push(start === undefined || newest === undefined ? undefined : { start, anchor: newest })
  }

  end(operation: number, stream: StreamHandle): boolean {
    const open = this.#open.pop()
    if (open === undefined) return false
    const end = this.#record(stream)
    if (end === undefined) {
      this.#events.release(open.start)
      return false
    }
    const isInner = this.#open.some((outer) => outer !== undefined)
    let lane = this.#lanes.get(stream)
    if (lane === undefined) this.#lanes.set(stream, (lane = { pending: [], lastEnd: 0 }))
    lane.pending.push({ operation, ...open, end, isInner })
    this.#inFlight++
    return true
  }

  collect(): boolean {
    if (this.#isOver) return false
    try {
      const limit = now() + BATCH
      for (const lane of this.#lanes.values()) this.#read(lane, limit)
      if (now() - this.#anchored > ANCHOR_EVERY) this.#anchor()
      return now() > limit
    } catch {
      this.#end() // The device is lost, and its times with it.
      return false
    }
  }

  stop(): void {
    if (this.#isOver) return
    try {
      for (const lane of this.#lanes.values()) this.#read(lane, Infinity)
    } catch {
      // The device is lost.
    }
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const { pending } of this.#lanes.values()) for (const timed of pending) this.#release(timed)
    this.#lanes.clear()
    this.#clock.close()
    this.#events.close()
    this.#parts.streams.destroy(this.#anchorStream)
  }

  #anchor(): void {
    this.#clock.anchor()
    this.#anchored = now()
  }

  /** Reads a stream's operations that are over, in their order, until a time. */
  #read(lane: Lane, limit: number): void {
    const { pending } = lane
    let count = 0
    for (const timed of pending) {
      const mayWait = this.#inFlight - count < this.#capacity / 2
      if ((mayWait && now() > limit) || !hasPassed(this.#parts.context, timed.end)) break
      this.#pass(lane, timed)
      count++
    }
    for (const timed of pending.splice(0, count)) this.#release(timed)
    this.#inFlight -= count
  }

  #pass(lane: Lane, { operation, start, end, anchor, isInner }: Timed): void {
    const measured = this.#clock.timeOf(start, anchor)
    const isEarly = !isInner && measured < lane.lastEnd && lane.lastEnd - measured < TOLERANCE
    const from = isEarly ? lane.lastEnd : measured
    const to = from + this.#clock.lasted(start, end)
    lane.lastEnd = Math.max(lane.lastEnd, to)
    this.#sink.ran(operation, from, to)
  }

  #release({ start, end }: Timed): void {
    this.#events.release(start)
    this.#events.release(end)
  }

  /** Records an event; undefined if that fails, because a trace must fail no operation. */
  #record(stream: StreamHandle): EventHandle | undefined {
    try {
      return this.#isOver ? undefined : this.#events.record(stream)
    } catch {
      return undefined
    }
  }

  /** Whether another library captures the stream: an event there would become part of its graph. */
  #isCaptured(stream: StreamHandle): boolean {
    const { context, captures } = this.#parts
    return context.othersMayCapture && captures.isInAnyCapture(stream)
  }
}

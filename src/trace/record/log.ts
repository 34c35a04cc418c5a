/**
 * What a recorder writes down, in the order in which the program queued it. Times are milliseconds of `sharedNow()`. Entries
 * are small and refer to nothing of the program, because a trace has millions of them, and the collector copies each one.
 */
import type { HostCallName } from "../../runtime/order/observer/observer.js"
import type { GraphOutline } from "../../runtime/order/observer/graph-outline.js"
import type { Operation } from "../../runtime/order/observer/operation.js"
import type { TimedNode } from "../../driver/timeline.js"
import type { SpanKind } from "../data/data.js"

/** A stream, by its index among those of the recorder. */
export type StreamIndex = number

/** No region, or no function of one. */
export const NONE = -1

/** An operation outside captures. */
export interface LoggedOperation {
  readonly type: "operation"
  /** Its place among the operations of the recorder. */
  readonly number: number
  readonly kind: SpanKind
  readonly label: string
  readonly stream: StreamIndex
  readonly bytes: number
  /** The number of its region, and the index of the function there; otherwise {@link NONE}. */
  readonly region: number
  readonly branch: number
  queued: number
  /** Of the stream; NaN until the driver has accepted it, and if it did not. */
  tick: number
  /** Whether its device has promised times. */
  isTimed: boolean
  /** NaN until known. */
  start: number
  end: number
  /** The facts about the graph that it launches. */
  readonly outline: GraphOutline | undefined
  /** The operations of a graph that ran. */
  nodes: TimedNode[] | undefined
  /** How a policy had a graph run. */
  overlap: Operation["overlap"]
}

/** A record of an event, or one stream's mark for another one. */
export interface LoggedRecord {
  readonly type: "record"
  readonly stream: StreamIndex
  /** The stream's newest operation then. */
  readonly tick: number
  readonly time: number
}

/** A wait for a record. */
export interface LoggedWait {
  readonly type: "wait"
  readonly stream: StreamIndex
  readonly time: number
  readonly sent: boolean
  readonly region: number
  /** The stream that recorded, and the record; undefined if that was before the trace. */
  readonly from: StreamIndex
  readonly record: LoggedRecord | undefined
}

export type LogEntry = LoggedOperation | LoggedRecord | LoggedWait

/** A host call that has ended. */
export interface LoggedCall {
  readonly name: HostCallName
  readonly start: number
  readonly end: number
}

/**
 * What a recorder writes down, in the order in which the program queued it. Times are milliseconds of `sharedNow()`. It must
 * never hold a stream's, an array's or a device's object longer than the trace lasts.
 */
import type { HostCallName } from "../runtime/order/observer.js"
import type { RegionPart } from "../runtime/order/region.js"
import type { TimedNode } from "../driver.js"
import type { SpanKind } from "./data/data.js"

/** A stream, by its index among those of the recorder. */
export type StreamIndex = number

/** An operation outside captures. */
export interface LoggedOperation {
  readonly type: "operation"
  /** Its place among the operations of the recorder. */
  readonly number: number
  readonly kind: SpanKind
  readonly label: string
  readonly stream: StreamIndex
  readonly bytes: number
  readonly part: RegionPart | undefined
  queued: number
  /** Of the stream; NaN until the driver has accepted it, and if it did not. */
  tick: number
  /** Whether its device has promised times. */
  isTimed: boolean
  /** NaN until known. */
  start: number
  end: number
  /** The operations of a graph that ran. */
  nodes: TimedNode[] | undefined
}

/** A record of an event, or one stream's mark for another one. */
export interface LoggedRecord {
  readonly type: "record"
  readonly stream: StreamIndex
  readonly time: number
}

/** A wait for a record. */
export interface LoggedWait {
  readonly type: "wait"
  readonly stream: StreamIndex
  readonly time: number
  readonly sent: boolean
  readonly part: RegionPart | undefined
  /** The stream that recorded, its newest operation then, and the record's place in the log; undefined if that is unknown. */
  readonly from: { readonly stream: StreamIndex; readonly tick: number; readonly record: LoggedRecord | undefined }
}

export type LogEntry = LoggedOperation | LoggedRecord | LoggedWait

/** A host call that has ended. */
export interface LoggedCall {
  readonly name: HostCallName
  readonly start: number
  readonly end: number
}

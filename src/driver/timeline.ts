/**
 * Timelines: when operations ran.
 *
 * The runtime calls `begin` directly before it queues an operation and `end` directly after. What the driver queues on that stream in between belongs to the operation, with its
 * staging copies; a wait for a birth may be counted, too. Times are milliseconds of the host's clock, `sharedNow()` in
 * `common/timers.ts`, wherever they were taken: a driver must convert a device's clock.
 *
 * A timeline must change no order and never hold up queued work. If it has no room for a record, it drops the record and
 * counts it. It times only operations between its start and its stop. Without a timeline, queueing and running must cost
 * the same as if there were none.
 */
import type { StreamHandle } from "./handles.js"

/** Collects the times of operations. */
export interface Timeline {
  readonly source: TimeSource
  /**
   * The runtime is about to queue an operation outside of captures.
   *
   * @param operation a number that counts up from call to call
   */
  begin(operation: number, stream: StreamHandle, manner: QueueManner): void
  /**
   * The operation has been queued, or could not be. Others may have begun and ended inside it, if it is external work.
   *
   * @returns whether the device has work that is timed: a driver may have nothing to do, such as for contents that it can
   * write at once
   */
  end(operation: number, stream: StreamHandle, manner: QueueManner): boolean
  /**
   * Passes on the times of operations that are over. Does not wait for others. Called regularly while work is queued.
   *
   * @param all nothing may be kept for later, because somebody needs the times now. The times of operations that are running may
   * be lost by that
   * @returns whether there is more to pass on, because this took long
   */
  collect(all?: boolean): boolean
  /**
   * Passes on the times of operations that are over, and ends; the others have none. Another timeline may start at once. Never
   * throws: times that cannot be had are lost. May be called when the device is about to be closed.
   */
  stop(): void
}

/**
 * How an operation is queued, as far as its times depend on it: another library may make the driver calls that queue it
 * ("library"), and a graph may repeat some of its nodes ("loop").
 */
export type QueueManner = "plain" | "library" | "loop"

/** Receives times. Called only inside `collect` and `stop` of the timeline. */
export interface TimelineSink {
  /**
   * An operation ran, or a part of it. Its time is from the earliest start to the latest end of its parts, which may come in
   * any order.
   */
  ran(operation: number, start: number, end: number): void
  /** A node of a graph ran, in the launch with this number. */
  nodeRan(operation: number, node: TimedNode): void
  /**
   * Work that the library did not queue ran, such as another library's kernel, if the source can tell.
   *
   * @param stream names the stream, for people
   */
  strangerRan(stream: string, node: TimedWork): void
  /** The times of this many operations or nodes were lost. */
  lost(count: number): void
}

/** Work that ran on a device. Times are in milliseconds of the host's clock. */
export interface TimedWork {
  readonly kind: "kernel" | "copy" | "fill"
  /** The kernel's name, or the kind. */
  readonly name: string
  readonly start: number
  readonly end: number
}

/** One operation of a launched graph, as it ran. */
export interface TimedNode extends TimedWork {
  /**
   * Which of the graph's streams it ran on. The launching stream is 0. Other numbers mean the same stream in all launches of a
   * graph, if the driver knows that.
   */
  readonly branch: number
  /**
   * The graph that it is in: the launched one, or one inside that, such as the body of a conditional. Equal numbers in a launch
   * mean the same graph. A driver that places all nodes in the launched graph always says 0.
   */
  readonly graph: number
  /**
   * How many nodes of that graph were captured before it, as {@link DriverGraphs.capturedCount} counts them; in the body of a
   * conditional on the host device, before the conditional. Undefined if the driver does not know.
   */
  readonly place: number | undefined
  /** In the body of a conditional: how many times the node has run before in this launch. Otherwise undefined. */
  readonly iteration: number | undefined
}

/** Where a timeline's times come from: the host device's workers, CUDA events, or CUPTI's activity records. */
export type TimeSource = "workers" | "events" | "cupti"

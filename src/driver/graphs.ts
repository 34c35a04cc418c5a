/**
 * A device's captures and graphs.
 *
 * Between `beginCapture(stream)` and `endCapture(stream)`, operations queued on the stream do not run. A `wait` for an
 * event recorded on a capturing stream makes the waiting stream enter the capture: its later operations are captured, too.
 * If that stream has earlier work, the runtime records an event after it directly before the wait. The graph has the same
 * order as the operations would have had without the capture.
 *
 * `launch`, `copy`, `copyRows`, `fill`, `fillRows`, `products.multiply`, `record`, `wait`, `graphs.launch` and
 * `beginConditional` may be captured. The runtime never allocates, frees, uploads, queries or synchronizes on a capturing
 * stream, and never waits across the border of a capture. A graph launched in a capture becomes part of the new graph, in
 * its current state. Other streams and their events are not affected. If `endCapture` fails, it has still ended the
 * capture, and the streams are as they were before it.
 *
 * The body of a conditional is a nested capture, from `beginConditional` to `endConditional`.
 *
 * A library that knows a handle of our stream may capture it. `record` returns whether it does. Such a record is an
 * edge of the foreign graph, and does not mark the work that was queued before the capture or is queued after it.
 */
import type { GraphHandle, KernelHandle, NodeHandle, StreamHandle } from "./handles.js"
import type { KernelArgument } from "./kernels.js"

/** A device's captures and graphs. */
export interface DriverGraphs {
  /** Begins a capture: operations queued on the stream from now on become part of a graph. */
  beginCapture(stream: StreamHandle): void
  /**
   * Ends the capture that began on this stream, and returns its executable graph. Every stream of the capture must have
   * been joined.
   *
   * @param update an executable graph to update to the captured one. If its shape allows that, the same handle is returned.
   * Otherwise a new one is, and the old graph is unchanged.
   * @param keepsPriorities whether operations run with the priorities of the streams they were captured on. Otherwise all
   * run with the priority of the stream on which the graph is launched.
   * @param isChained whether the operations run one after another: see `chain`. It is part of the shape
   */
  endCapture(
    stream: StreamHandle,
    update: GraphHandle | undefined,
    keepsPriorities?: boolean,
    isChained?: boolean,
  ): GraphHandle
  /**
   * Makes a second executable of a captured graph, whose operations run one after another in the order of the calls that
   * captured them. The nodes have the same handles in both, but each keeps its own changes, and nothing orders launches of
   * one after launches of the other. The graph must have no conditionals, and neither updates nor changes so far. A graph
   * that was launched inside may keep its branches.
   */
  chain(graph: GraphHandle): GraphHandle
  /** Ends the capture that began on this stream and discards it, in any state. Never throws. */
  cancelCapture(stream: StreamHandle): void
  /**
   * Inside a capture that `stream` is part of: operations queued on `body` from now on become the body of a conditional at
   * this place in the stream's order.
   *
   * @param condition the address of an int32, read when the stream gets there, and for "while" after each run, too
   * @param body a stream without queued work
   * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if the driver has no conditionals
   */
  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void
  /** Ends the body. All its streams must have been joined into the stream on which it began. */
  endConditional(body: StreamHandle): void
  /** Ends a body that has failed. The caller then cancels the capture around it. Never throws. */
  cancelConditional(body: StreamHandle): void
  /**
   * Orders the next `launch` of this graph on the stream after the graph's latest launch, on any stream, but not after
   * later work of that stream. If the earlier launch failed, so does this one.
   */
  orderBehindLaunch(graph: GraphHandle, stream: StreamHandle): void
  /** Queues one run of the graph as an operation of the stream. The caller must order it after the graph's earlier runs. */
  launch(graph: GraphHandle, stream: StreamHandle): void
  /**
   * The launch that was captured last on the stream. Called directly after it, and never in the body of a conditional.
   */
  capturedNode(stream: StreamHandle): NodeHandle
  /**
   * How many nodes have been captured so far in the capture of the stream, outside of bodies of conditionals. Called directly after
   * an operation was captured. The nodes of a graph launched inside may count as one.
   */
  capturedCount(stream: StreamHandle): number
  /**
   * Must be called before nodes are changed.
   *
   * @returns the graph's handle from now on. It may be another one after an update; then the caller destroys the former
   * graph like any other.
   */
  makeChangeable(graph: GraphHandle): GraphHandle
  /**
   * Gives a launch of the graph other arguments. Launches of the graph that are queued already keep the former ones.
   * `structs`: see {@link LaunchAttributes}.
   */
  setNodeArguments(
    graph: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void
  /** Whether a launch inside the graph does anything when the graph is launched later. */
  setNodeEnabled(graph: GraphHandle, node: NodeHandle, enabled: boolean): void
  /** Destroys a graph. No launch of it may be queued or running. */
  destroy(graph: GraphHandle): void
}

/** When a conditional's body runs: once if the condition is not zero, once if it is zero, or as long as it is not zero. */
export type ConditionalKind = "if" | "unless" | "while"

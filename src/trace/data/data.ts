/**
 * The data of a trace: plain objects without references, so that `toJSON()`, the page and the other writers share them. All times
 * are nanoseconds on one clock that starts at 0 when the trace starts.
 */

/** Where the times of a device's operations come from. */
export type TimeSource =
  /** The host device's workers. */
  | "workers"
  /** CUDA events around each operation. */
  | "events"
  /** CUPTI's activity records. */
  | "cupti"

/** A device that was open while the trace ran. */
export interface TracedDevice {
  readonly id: string
  readonly kind: "host" | "cuda"
  readonly name: string
  readonly times: TimeSource
  /** Operations and nodes whose times were lost, such as when a buffer was full. */
  readonly lost: number
}

/** A stream that ran something while the trace ran. Its index in {@link TraceData.streams} identifies it. */
export interface TracedStream {
  /** The index of its device. */
  readonly device: number
  /** Tells streams of one device apart; undefined for a branch of a graph, and for a stream of another library. */
  readonly id?: number
  readonly name: string
}

/**
 * What an operation is. A `node` is an operation inside a launched graph. `foreign` work was queued by another library on a
 * stream of its own; only CUPTI reports it.
 */
export type SpanKind =
  | "kernel"
  | "copy"
  | "upload"
  | "fill"
  | "read"
  | "matmul"
  | "graph"
  | "node"
  | "conditional"
  | "external"
  | "foreign"

/** One operation, from its beginning on its stream to its end. */
export interface TraceSpan {
  /** The index of its stream. */
  readonly stream: number
  readonly kind: SpanKind
  readonly name: string
  /** When the program queued it. */
  readonly queued: number
  readonly start: number
  readonly end: number
  /** The index of the fork-join whose function queued it; the innermost one. */
  readonly region?: number
  /** The index of that fork-join's function: 0 is the main function. */
  readonly branch?: number
  /** For a node: the index of the span of its graph's launch. */
  readonly parent?: number
  /** For a node inside a conditional: the iteration, from 0. */
  readonly iteration?: number
  /** Bytes that it reads and writes, as far as they are declared. */
  readonly bytes?: number
}

/** One stream's wait for another one's record: an arrow in the picture. */
export interface TraceWait {
  /** The index of the stream that recorded, and when the record was reached there. */
  readonly from: { readonly stream: number; readonly time: number }
  /** The index of the stream that waited, and when it went on. */
  readonly to: { readonly stream: number; readonly time: number }
  /** False if the library skipped it because the order was known already. */
  readonly sent: boolean
  readonly region?: number
}

/** One call of `maybeExecuteInParallel`, `executeInParallel`, `parallel` or `fork`. */
export interface TraceRegion {
  readonly name: string
  /** The index of the region inside whose function it was called. */
  readonly parent?: number
  /** The index of that region's function. */
  readonly branch?: number
  readonly device: number
  readonly mode: "parallel" | "sequential"
  readonly reason: string
  /** The host's time in the call, until its promise settled; for a fork, until it was joined. */
  readonly called: { readonly start: number; readonly end: number }
  /** The first operation's beginning and the last one's end; undefined if it queued none. */
  readonly ran?: { readonly start: number; readonly end: number }
  /** The indices of its streams, the current one first. */
  readonly streams: readonly number[]
}

/** A host call that took time: a synchronisation, a launch that had to compile, an awaited read. */
export interface TraceCall {
  readonly name: string
  /** Node's id of the thread; 0 is the main thread. */
  readonly thread: number
  readonly start: number
  readonly end: number
}

/** Everything that a trace recorded. */
export interface TraceData {
  readonly format: "auxstream-trace"
  readonly version: 1
  /** The date, as in `Date.prototype.toISOString`. */
  readonly date: string
  readonly machine: { readonly node: string; readonly platform: string; readonly cpu: string; readonly cores: number }
  /** From `startTrace()` to `stop()`. */
  readonly duration: number
  /** Host time that tracing itself took, in total, and for how many operations. */
  readonly cost: { readonly total: number; readonly operations: number }
  readonly devices: readonly TracedDevice[]
  readonly streams: readonly TracedStream[]
  readonly spans: readonly TraceSpan[]
  readonly waits: readonly TraceWait[]
  readonly regions: readonly TraceRegion[]
  readonly calls: readonly TraceCall[]
}

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
  /** Its id, such as `"cuda:0"`. */
  readonly id: string
  /** The kind of device. */
  readonly kind: "host" | "cuda"
  /** The vendor's name of the device. */
  readonly name: string
  /** Where its times come from. */
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
  /** Its name; of a branch, the branch's. */
  readonly name: string
}

/**
 * The kind of operation. A `node` is an operation inside a launched graph. `foreign` work was queued by another library on
 * its own stream; only CUPTI reports it.
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
  /** The kind of operation. */
  readonly kind: SpanKind
  /** The kernel's name, or the kind of operation. */
  readonly name: string
  /** When the program queued it, in nanoseconds. */
  readonly queued: number
  /** When it began on its stream, in nanoseconds. */
  readonly start: number
  /** When it ended, in nanoseconds. */
  readonly end: number
  /** The index of the fork-join whose function queued it; the innermost one. */
  readonly region?: number
  /** The index of that fork-join's function: 0 is the main function. */
  readonly branch?: number
  /** For a node: the index of the span of its graph's launch. */
  readonly parent?: number
  /**
   * For a node whose operation in its graph is known: the index of that operation in the order of capture. The order between such
   * nodes is known, too.
   */
  readonly node?: number
  /** For a node inside a conditional: the iteration, from 0. */
  readonly iteration?: number
  /** The number of bytes that it reads and writes, as far as they are declared. */
  readonly bytes?: number
  /** For a launch of a graph that was captured with a policy: how it ran, and what the policy did with it. */
  readonly overlap?: TracedOverlap
}

/** A policy's part in an operation. */
export interface TracedOverlap {
  /** Whether the graph's branches ran side by side, or all operations one after another. */
  readonly mode: "parallel" | "sequential"
  /** The policy, and what it did with the launch. */
  readonly policy: TracedPolicy
}

/** A policy, and what it did with a call or a launch. */
export interface TracedPolicy {
  /** Its name. */
  readonly name: string
  /** The key of the call, or of the captured graph. */
  readonly key: string | number
  /** As in {@link OverlapPhase}. */
  readonly phase: "warm-up" | "measuring" | "decided" | "checking" | "unmeasured"
}

/** One stream's wait for another one's record: an arrow in the picture. */
export interface TraceWait {
  /** The index of the stream that recorded, and when the record was reached there. */
  readonly from: {
    /** The index of the stream. */
    readonly stream: number
    /** Nanoseconds. */
    readonly time: number
  }
  /** The index of the stream that waited, and when it continued. */
  readonly to: {
    /** The index of the stream. */
    readonly stream: number
    /** Nanoseconds. */
    readonly time: number
  }
  /** False if the library skipped it because the order was known already. */
  readonly sent: boolean
  /** The index of the fork-join to which it belongs. */
  readonly region?: number
}

/**
 * One call of `maybeExecuteInParallel`, `executeInParallel`, `parallel` or `fork`; or one run of such a call in a graph, for each
 * launch of the graph.
 */
export interface TraceRegion {
  /** The function that was called, such as `"parallel"`. */
  readonly name: string
  /** The index of the region inside whose function it was called. */
  readonly parent?: number
  /** The index of that region's function. */
  readonly branch?: number
  /** The index of its device. */
  readonly device: number
  /** Whether its functions' work was queued side by side. */
  readonly mode: "parallel" | "sequential"
  /** Why it ran in this mode: a {@link ParallelReason}. */
  readonly reason: string
  /** For a call with a policy: what the policy did with it. */
  readonly policy?: TracedPolicy
  /** In a graph: the index of the span of the graph's launch. */
  readonly graph?: number
  /** For a fork in a graph: the indices of the operations that its caller queued before it joined. */
  readonly beside?: readonly number[]
  /** The host's time in the call, until its promise settled; for a fork, until it was joined. In a graph: when that was launched. */
  readonly called: {
    /** Nanoseconds. */
    readonly start: number
    /** Nanoseconds. */
    readonly end: number
  }
  /** The first operation's beginning and the last one's end; undefined if it queued none. */
  readonly ran?: {
    /** Nanoseconds. */
    readonly start: number
    /** Nanoseconds. */
    readonly end: number
  }
  /** The indices of its streams, the current one first. */
  readonly streams: readonly number[]
}

/** A host call that took time: a synchronisation, a launch that had to compile, an awaited read. */
export interface TraceCall {
  /** The call, such as `"synchronize"`. */
  readonly name: string
  /** Node's id of the thread; 0 is the main thread. */
  readonly thread: number
  /** When it began, in nanoseconds. */
  readonly start: number
  /** When it returned or its promise settled, in nanoseconds. */
  readonly end: number
}

/** Everything that a trace recorded. */
export interface TraceData {
  /** Identifies the format in a file. */
  readonly format: "auxstream-trace"
  /** The version of the format. */
  readonly version: 1
  /** The date, as in `Date.prototype.toISOString`. */
  readonly date: string
  /** The machine on which it was recorded. */
  readonly machine: {
    /** The version of Node.js. */
    readonly node: string
    /** The operating system and the processor's architecture. */
    readonly platform: string
    /** The processor's name. */
    readonly cpu: string
    /** The number of cores. */
    readonly cores: number
  }
  /** From `startTrace()` to `stop()`, or until the last operation ended if that is later, in nanoseconds. */
  readonly duration: number
  /** Host time that tracing itself took, in total, and for how many operations. */
  readonly cost: {
    /** Nanoseconds. */
    readonly total: number
    /** The number of operations, records and waits. */
    readonly operations: number
  }
  /** The devices that were open. Other objects name them by their index here. */
  readonly devices: readonly TracedDevice[]
  /** The streams that ran something. Other objects name them by their index here. */
  readonly streams: readonly TracedStream[]
  /** The operations. */
  readonly spans: readonly TraceSpan[]
  /** The waits between streams. */
  readonly waits: readonly TraceWait[]
  /** The fork-joins. */
  readonly regions: readonly TraceRegion[]
  /** The host's calls that took time. */
  readonly calls: readonly TraceCall[]
}

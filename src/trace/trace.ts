/**
 * Starts and stops traces. All traces that are open at a time share one recorder, so that each operation is timed once, however
 * many traces see it.
 */
import { checkInteger, checkOptions, mustBe } from "../common/check.js"
import { compile, type TraceWindow } from "./compile.js"
import { Recorder, type RecorderLimits } from "./record/recorder.js"
import { TraceReport } from "./report.js"

/** Options of {@link startTrace}. */
export interface TraceOptions {
  /**
   * Where CUDA devices take their times from: `"events"`, two CUDA events around each operation, or `"cupti"`, CUPTI's activity
   * records, which also tell about the nodes of graphs. Default: `"events"`. Traces that run at the same time share the choice of
   * the first. Without CUPTI, or where another thread uses it, events are used, with a warning.
   */
  readonly times?: "events" | "cupti" | undefined
  /**
   * How many records each buffer of times has room for, 64 to 4 194 304. Buffers are emptied 20 times a second. A full one loses
   * records; the report says how many. Default: 32 768.
   */
  readonly capacity?: number | undefined
  /**
   * How many operations, records and waits are kept at most. Later ones are lost; the report says how many. Default: 2 000 000,
   * which need about 500 MB.
   */
  readonly limit?: number | undefined
  /** Whether `stop()` adds an entry to Node's performance timeline for each fork-join. Default: false. */
  readonly measure?: boolean | undefined
}

const traceOptions: ReadonlySet<string> = new Set([
  "times",
  "capacity",
  "limit",
  "measure",
] satisfies (keyof TraceOptions)[])

const DEFAULT_CAPACITY = 32_768
const DEFAULT_LIMIT = 2_000_000

let recorder: Recorder | undefined
let users = 0

/** A trace that is running. */
export class Trace {
  readonly #recorder: Recorder
  readonly #measure: boolean
  readonly #begin: Omit<TraceWindow, "end" | "entries" | "regions">
  readonly #entries: number
  readonly #regions: number
  #report: Promise<TraceReport> | undefined

  /** @internal */
  constructor(shared: Recorder, measure: boolean) {
    this.#recorder = shared
    this.#measure = measure
    this.#begin = { date: new Date(), start: shared.now(), cost: shared.cost }
    this.#entries = shared.log.length
    this.#regions = shared.regions.length
  }

  /**
   * Ends the trace and resolves with its report, once everything that was queued has run. Does not block the event loop. Work
   * that is queued after the call is not traced. Further calls return the same promise.
   */
  stop(): Promise<TraceReport> {
    this.#report ??= this.#stop()
    return this.#report
  }

  /** @internal What has been recorded and has run so far. The trace continues. */
  peek(): TraceReport {
    this.#recorder.collect()
    return this.#reportOf(this.#window())
  }

  async #stop(): Promise<TraceReport> {
    const window = this.#window()
    const shared = this.#recorder
    await shared.settle()
    // Only now, so that a trace that started meanwhile continues with the same recorder.
    if (--users === 0) {
      recorder = undefined
      shared.stop()
    }
    const report = this.#reportOf(window)
    if (this.#measure) report.measure((time) => shared.local(window.start + time / 1e6))
    return report
  }

  #window(): TraceWindow {
    const { log, regions } = this.#recorder
    return {
      ...this.#begin,
      end: this.#recorder.now(),
      entries: { from: this.#entries, to: log.length },
      regions: { from: this.#regions, to: regions.length },
    }
  }

  #reportOf(window: TraceWindow): TraceReport {
    return new TraceReport(compile(this.#recorder, window))
  }
}

/**
 * Records from now on when each operation of this thread's devices runs, the waits between streams, the host's own calls, and
 * every fork-join with its mode and reason. Includes devices that are opened later.
 *
 * Traces may overlap: each has what was queued between its start and its stop. On a CUDA device, a graph's nodes appear only
 * with CUPTI.
 *
 * PyTorch: `torch.profiler.profile`.
 *
 * @param options where times come from, and how much is kept
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE
 * @example
 * const trace = startTrace()
 * layer(x)
 * const report = await trace.stop()
 * console.log(`overlap ${report.overlap}`)
 * console.log(`${report}`)
 */
export function startTrace(options: TraceOptions = {}): Trace {
  checkOptions(options, "options", traceOptions)
  const { times, capacity = DEFAULT_CAPACITY, limit = DEFAULT_LIMIT, measure = false } = options
  if (times !== undefined && times !== "events" && times !== "cupti") {
    throw mustBe("times", '"events" or "cupti"', times)
  }
  checkInteger(capacity, "capacity", 64, 2 ** 22)
  checkInteger(limit, "limit", 1, 2 ** 26)
  if (typeof measure !== "boolean") throw mustBe("measure", "true or false", measure)
  const trace = new Trace(sharedRecorder({ source: times, capacity, entries: limit }), measure)
  users++
  return trace
}

function sharedRecorder(limits: RecorderLimits): Recorder {
  return (recorder ??= new Recorder(limits))
}

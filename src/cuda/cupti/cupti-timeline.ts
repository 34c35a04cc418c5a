/** The timeline of one CUDA device with CUPTI's times: also of the nodes of graphs, and of work that others queued. */
import type { StreamHandle } from "../../driver/handles.js"
import type { Timeline, TimelineSink } from "../../driver/timeline.js"
import type { CuptiClock } from "./clock.js"
import type { Activity, NodeNumber } from "./records.js"
import { type ActivitySink, cuptiSession, leaveSession, type CuptiSession } from "./session.js"

export class CuptiTimeline implements Timeline, ActivitySink {
  readonly source = "cupti"
  readonly device: number
  readonly #session: CuptiSession
  readonly #sink: TimelineSink
  readonly #launches = new Map<number, GraphLaunch>()
  #isOver = false

  /**
   * @param device the device's ordinal
   * @throws Error if CUPTI cannot be used
   */
  constructor(device: number, driverMajor: number, sink: TimelineSink) {
    this.device = device
    this.#sink = sink
    this.#session = cuptiSession(driverMajor)
    this.#session.add(this)
  }

  begin(operation: number): void {
    this.#session.cupti.push(operation)
  }

  end(_operation: number, _stream: StreamHandle): boolean {
    this.#session.cupti.pop()
    return true
  }

  collect(all = false): boolean {
    if (!this.#isOver) this.#session.collect(all)
    return false
  }

  stop(): void {
    this.abandon()
  }

  /** Reads what is over, and ends. */
  abandon(): void {
    if (this.#isOver) return
    leaveSession(this)
    this.#isOver = true
  }

  ran(operation: number | undefined, activity: Activity, clock: CuptiClock): void {
    const { kind, name } = activity
    const start = clock.hostTime(activity.start)
    const end = clock.hostTime(activity.end)
    if (operation === undefined) this.#sink.strangerRan(`stream ${activity.stream}`, { kind, name, start, end })
    else if (activity.node === undefined) this.#sink.ran(operation, start, end)
    else this.#nodeRan(operation, activity, activity.node, start, end)
  }

  lost(count: number): void {
    this.#sink.lost(count)
  }

  #nodeRan(operation: number, { kind, name, stream }: Activity, node: NodeNumber, start: number, end: number): void {
    const launch = this.#launches.get(operation) ?? new GraphLaunch()
    this.#launches.set(operation, launch)
    const branch = launch.branchOf(stream)
    this.#sink.nodeRan(operation, { kind, name, branch, ...node, iteration: launch.iterationOf(node), start, end })
  }
}

/** What has run so far in one launch of a graph. */
class GraphLaunch {
  readonly #branches = new Map<number, number>()
  readonly #runs = new Map<string, number>()

  /** The streams are numbered as they appear. */
  branchOf(stream: number): number {
    const branch = this.#branches.get(stream) ?? this.#branches.size
    this.#branches.set(stream, branch)
    return branch
  }

  /** Undefined for a node's first run, which need not be in a loop. */
  iterationOf({ graph, place }: NodeNumber): number | undefined {
    const node = `${graph} ${place}`
    const run = this.#runs.get(node) ?? 0
    this.#runs.set(node, run + 1)
    return run === 0 ? undefined : run
  }
}

/** The timeline of one CUDA device with CUPTI's times: also of the nodes of graphs, and of work that others queued. */
import type { StreamHandle } from "../../driver/handles.js"
import type { QueueManner, Timeline, TimelineSink } from "../../driver/timeline.js"
import type { CuptiClock } from "./clock.js"
import type { Activity, NodeNumber } from "./records.js"
import { type ActivitySink, cuptiSession, leaveSession, type CuptiSession } from "./session.js"

/** What a timeline needs of its device. */
export interface CuptiDevice {
  readonly ordinal: number
  readonly driverMajor: number
  /** The handle of its context. */
  readonly context: number
  /** Makes the driver call that encloses what another library queues: cuStreamIsCapturing. Never throws. */
  enclose(stream: StreamHandle): void
  /** A timeline that times whole operations. */
  events(sink: TimelineSink): Timeline
}

export class CuptiTimeline implements Timeline, ActivitySink {
  readonly source = "cupti"
  readonly #device: CuptiDevice
  readonly #session: CuptiSession
  readonly #sink: TimelineSink
  readonly #launches = new Map<number, GraphLaunch>()
  /** The operation that encloses those that are queued now, and that of each operation that has one. */
  #around: number | undefined
  readonly #outer = new Map<number, number>()
  /** Tells when launches of graphs with loops end, because CUPTI tells about one iteration only. Made at the first of them. */
  #events: Timeline | undefined
  #isOver = false

  /** @throws Error if CUPTI cannot be used */
  constructor(device: CuptiDevice, sink: TimelineSink) {
    this.#device = device
    this.#sink = sink
    this.#session = cuptiSession(device.driverMajor)
    this.#session.add(this)
  }

  /** The device's ordinal. */
  get device(): number {
    return this.#device.ordinal
  }

  begin(operation: number, stream: StreamHandle, manner: QueueManner): void {
    const { cupti, brackets } = this.#session
    if (manner === "loop") this.#endings().begin(operation, stream, manner)
    cupti.push(operation)
    if (this.#around !== undefined) this.#outer.set(operation, this.#around)
    if (manner !== "library") return
    this.#around = operation
    brackets.begin(operation, cupti.streamId(this.#device.context, stream))
    this.#device.enclose(stream)
  }

  end(operation: number, stream: StreamHandle, manner: QueueManner): boolean {
    if (manner === "library") {
      this.#device.enclose(stream)
      this.#session.brackets.end()
      this.#around = this.#outer.get(operation)
    }
    this.#session.cupti.pop()
    if (manner === "loop") this.#events?.end(operation, stream, manner)
    return true
  }

  collect(all = false): boolean {
    if (this.#isOver) return false
    this.#session.collect(all)
    return this.#events?.collect(all) ?? false
  }

  /** Passes on the times of finished work, and ends. */
  stop(): void {
    if (this.#isOver) return
    leaveSession(this)
    this.#events?.stop()
    this.#isOver = true
  }

  ran(operation: number | undefined, activity: Activity, clock: CuptiClock): void {
    const { kind, name } = activity
    const start = clock.hostTime(activity.start)
    const end = clock.hostTime(activity.end)
    if (operation === undefined) this.#sink.strangerRan(`stream ${activity.stream}`, { kind, name, start, end })
    else if (activity.node === undefined) this.#sink.ran(operation, start, end)
    else this.#nodeRan(operation, activity, activity.node, start, end)
    let outer = operation === undefined ? undefined : this.#outer.get(operation)
    for (; outer !== undefined; outer = this.#outer.get(outer)) this.#sink.ran(outer, start, end)
  }

  lost(count: number): void {
    this.#sink.lost(count)
  }

  #endings(): Timeline {
    const sink = this.#sink
    this.#events ??= this.#device.events({
      ran: (operation, _start, end) => sink.ran(operation, end, end),
      nodeRan: () => {},
      strangerRan: () => {},
      lost: (count) => sink.lost(count),
    })
    return this.#events
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

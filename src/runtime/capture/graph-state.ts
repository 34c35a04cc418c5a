import type { GraphHandle } from "../../driver/handles.js"
import { AuxstreamError } from "../../common/errors.js"
import { type Capture, captureOf } from "./capture.js"
import type { GraphCapture } from "./graph-capture.js"
import { type GroupLaunches, LaunchEnd, LaunchGroup } from "../memory/launch-group.js"
import { type LaunchedGraph, Operation, OperationType } from "../order/observer/operation.js"
import type { GraphOverlap, OverlapMode, OverlapPhase } from "../order/policy/overlap-policy.js"
import { type GraphPolicy, GraphTrial } from "./graph-trial.js"
import { refuse } from "./operation.js"
import { holdOthers } from "../order/policy/resident.js"
import type { RecordPoint } from "../order/record-point.js"
import type { GraphPlan } from "./graph-plan.js"
import type { GraphChange, NodeArguments } from "./node-changes.js"
import { Prerequisites } from "./prerequisites.js"
import type { StreamState, Use } from "../order/stream-state.js"

const none: readonly StreamState[] = []
const noOperands: readonly number[] = []
const launchOfGraph = new OperationType("graph", "graph", [])

/** The state behind a {@link Graph}. It outlives a forgotten `Graph`, and must never refer to that object. */
export class GraphState {
  capture: GraphCapture
  handle: GraphHandle
  /** The group of graphs that share memory with it. */
  readonly group = new LaunchGroup(1)
  readonly #end = new LaunchEnd()
  #prerequisites: Prerequisites
  /** What observers see of a launch, collected when it is first needed. */
  #launched: LaunchedGraph | undefined
  #disposed = false
  /** Undefined unless it is being measured how to run it, so that other launches pay one check. */
  #trial: GraphTrial | undefined
  readonly #policy: GraphPolicy | undefined
  #overlap: GraphOverlap | undefined
  #isChained = false

  constructor(capture: GraphCapture, handle: GraphHandle, policy?: GraphPolicy) {
    this.capture = capture
    this.handle = handle
    this.#prerequisites = this.#joinMemory()
    this.#policy = policy
    if (policy !== undefined) this.#ask(policy)
  }

  /** How it runs, or how its newest launch did while that is being measured; undefined without a policy. */
  get overlap(): GraphOverlap | undefined {
    return this.#overlap
  }

  /** Whether the executable graph is to be a chain after an update to this plan. */
  wantsChain(plan: GraphPlan): boolean {
    if (plan.isResident) return this.#policy?.wantsChain(plan) === true
    return this.#isChained && plan.isChainable
  }

  /** The executable was made as the policy wants it, if the policy has decided. Otherwise the measurement begins. */
  #ask(policy: GraphPolicy): void {
    const { order, plan } = this.capture
    this.#isChained = policy.wantsChain(plan)
    const decision = this.#isChained ? "sequential" : policy.decision
    if (plan.isChainable && decision !== undefined) {
      this.#overlap = policy.overlap(decision, "decided")
      return
    }
    this.#trial = decision === undefined ? GraphTrial.begin(policy, order, plan, this.handle) : undefined
    this.#overlap = policy.overlap("parallel", this.#trial === undefined ? "unmeasured" : "warm-up")
    // As for graphs that share memory, so that the two executables run one after another on whatever streams.
    if (this.#trial !== undefined) this.group.launches.graphs++
  }

  /** Ends the measurement, if there is one, without a decision of this graph: it is parallel from now on. */
  #abandon(): void {
    const trial = this.#trial
    if (trial === undefined) return
    trial.policy.abandon()
    this.#settle(trial, "parallel", "unmeasured")
  }

  /** Runs the graph in this mode from now on. The other executable is destroyed once its launches are over. */
  #settle({ policy, chained }: GraphTrial, mode: OverlapMode, phase: OverlapPhase): void {
    this.#trial = undefined
    this.#overlap = policy.overlap(mode, phase)
    this.#isChained = mode === "sequential"
    const [kept, dropped] = this.#isChained ? [chained, this.handle] : [this.handle, chained]
    this.handle = kept
    this.group.launches.graphs--
    // Its event is not recorded any more.
    this.#end.dispose()
    this.#destroyAfter(this.group.launches.uses.list(), dropped)
  }

  get disposed(): boolean {
    return this.#disposed
  }

  #joinMemory(): Prerequisites {
    const prerequisites = new Prerequisites()
    this.capture.memory.joinGroup(this.group)
    this.capture.memory.addTo(prerequisites)
    return prerequisites
  }

  /** Replaces the captured operations by those of another capture. */
  replace(capture: GraphCapture, handle: GraphHandle): void {
    this.#abandon()
    const former = this.capture
    const formerHandle = this.handle
    this.#isChained = this.wantsChain(capture.plan)
    if (this.#isChained) this.#overlap = this.#policy?.overlap("sequential", "decided")
    this.capture = capture
    this.handle = handle
    this.#launched = undefined
    this.#prerequisites = this.#joinMemory()
    this.#release(former, formerHandle === handle ? undefined : formerHandle)
  }

  #makeChangeable(): GraphHandle {
    const former = this.handle
    this.handle = this.capture.order.driver.graphs.makeChangeable(former)
    if (this.handle !== former) this.#destroyAfter(this.group.launches.uses.list(), former)
    return this.handle
  }

  /** Makes a change in each executable. If that fails, only the parallel one is kept, which may be unchanged. */
  readonly #changeEach: GraphChange = (change) => {
    const handle = this.#makeChangeable()
    const trial = this.#trial
    if (trial === undefined) return change(handle)
    try {
      change(trial.chained)
      change(handle)
    } catch (error) {
      this.#abandon()
      throw error
    }
  }

  /** See {@link NodeChanges.setEnabled}. */
  setEnabled(place: number, enabled: boolean): void {
    if (enabled === this.capture.changes.isEnabled(place)) return
    this.capture.changes.setEnabled(this.#changeEach, place, enabled)
    this.#launched = undefined
  }

  /** See {@link NodeChanges.setArguments}. */
  setArguments(place: number, args: NodeArguments): void {
    const added = this.capture.changes.setArguments(this.#changeEach, place, args, this.group.launches.uses.list())
    for (const memory of added) {
      this.group.unite(memory.launchGroup)
      this.#prerequisites.add(memory)
    }
    this.#launched = undefined
  }

  /**
   * Queues a launch. Inside a capture, the graph becomes part of the captured graph.
   *
   * @param isStreamNamed whether the caller named the stream, so that no observer may choose another
   */
  launch(stream: StreamState, isStreamNamed: boolean): void {
    const followLater = this.capture.plan.isResident ? holdOthers(stream) : undefined
    const operation = stream.order.isWatched ? this.#show(stream, isStreamNamed) : undefined
    const target = operation === undefined ? stream : operation.stream
    target.checkUsable()
    try {
      const outer = captureOf(target)
      if (outer !== undefined && operation !== undefined) this.#addTo(outer, operation)
      else if (this.#trial === undefined) this.#queue(target, operation)
      else this.#queueMeasured(this.#trial, target, operation)
    } catch (error) {
      throw refuse(operation, error)
    }
    followLater?.()
  }

  #addTo(outer: Capture, operation: Operation): void {
    if (!this.capture.changes.hasDisabled) {
      this.#abandon()
      operation.overlap = this.#overlap
      return outer.addGraph(this, operation)
    }
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "A graph with disabled nodes cannot be launched inside a capture, because CUDA would enable them again. Enable them " +
        "first, or capture without them.",
    )
  }

  #show(stream: StreamState, isStreamNamed: boolean): Operation {
    const { plan } = this.capture
    this.#launched ??= { accesses: plan.accesses(), plan, chain: this.group, overlap: undefined }
    this.#launched.overlap = this.#overlap
    const region = stream.order.captures.region()
    return Operation.show(launchOfGraph, stream, noOperands, undefined, isStreamNamed, region, this.#launched)
  }

  #queue(stream: StreamState, operation: Operation | undefined): void {
    const learned = this.#order(stream)
    this.capture.order.driver.graphs.launch(this.handle, stream.handle)
    this.#queued(stream, operation, this.handle, learned)
  }

  /** Queues a launch of the executable that the policy wants to be next. */
  #queueMeasured(trial: GraphTrial, stream: StreamState, operation: Operation | undefined): void {
    const { policy, chained } = trial
    if (policy.decision !== undefined) {
      this.#settle(trial, policy.decision, "decided")
      if (operation !== undefined) operation.overlap = this.#overlap
      return this.#queue(stream, operation)
    }
    const { mode, note, sample } = policy.next(stream)
    this.#overlap = { mode, policy: note }
    if (operation !== undefined) operation.overlap = this.#overlap
    const handle = mode === "sequential" ? chained : this.handle
    // What this waits for is not part of the measured time.
    const learned = this.#order(stream)
    sample?.begin(none)
    try {
      this.capture.order.driver.graphs.launch(handle, stream.handle)
    } catch (error) {
      sample?.end("threw")
      throw error
    }
    this.#queued(stream, operation, handle, learned)
    sample?.end("done")
  }

  /**
   * Makes the next launch on the stream run after everything that it must run after.
   *
   * @returns see {@link #orderBehindLaunches}
   */
  #order(stream: StreamState): RecordPoint | undefined {
    if (stream.failures?.arePossible === true) this.capture.memory.checkWritten()
    const { launches } = this.group
    const learned = launches.uses.isBefore(stream) ? undefined : this.#orderBehindLaunches(stream, launches)
    this.#prerequisites.orderBefore(stream)
    return learned
  }

  /** Counts the launch that the driver has accepted. */
  #queued(
    stream: StreamState,
    operation: Operation | undefined,
    handle: GraphHandle,
    learned: RecordPoint | undefined,
  ): void {
    const { launches } = this.group
    if (learned !== undefined) stream.learn(learned)
    const tick = stream.advance(operation)
    operation?.accepted(tick)
    launches.uses.note(stream, tick)
    this.#end.note(stream, tick, handle, launches.graphs > 1)
    launches.latest = this.#end
    if (stream.failures !== undefined) this.capture.memory.noteWrites(stream.failures)
  }

  /**
   * Makes the next launch on the stream run after the group's earlier launches, but not after later work of their streams.
   *
   * @returns the order that the stream's clock learns once the launch is queued, if the driver itself orders the launches
   */
  #orderBehindLaunches(stream: StreamState, { latest, uses }: GroupLaunches): RecordPoint | undefined {
    const open = uses.list().filter((use) => !isOver(use) && !stream.isAfter(use.stream.slot, use.tick))
    const known = open.some((use) => latest?.isOf(use)) && latest?.canOrder(this.handle, stream) ? latest : undefined
    const learned = known === undefined ? undefined : this.#orderBehind(known, stream)
    for (const use of open) {
      if (known?.isOf(use) || known?.point.isAfter(use.stream.slot, use.tick)) continue
      stream.waitFor(use.stream)
    }
    return learned
  }

  #orderBehind({ event, point }: LaunchEnd, stream: StreamState): RecordPoint | undefined {
    if (event === undefined) {
      this.capture.order.driver.graphs.orderBehindLaunch(this.handle, stream.handle)
      return point
    }
    stream.wait(event, point, true)
    return undefined
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#end.dispose()
    if (this.#trial !== undefined) this.#destroyAfter(this.group.launches.uses.list(), this.#trial.chained)
    this.#trial = undefined
    this.#release(this.capture, this.handle)
  }

  #release(capture: GraphCapture, handle: GraphHandle | undefined): void {
    const launches = this.group.launches.uses.list()
    capture.plan.releaseKernels()
    capture.memory.disposeBehind(launches)
    if (handle !== undefined) this.#destroyAfter(launches, handle)
  }

  #destroyAfter(launches: readonly Use[], handle: GraphHandle): void {
    const { order } = this.capture
    order.deferredReleases.add(launches, () => {
      // A closed driver destroys its graphs itself.
      if (!order.closed) order.driver.graphs.destroy(handle)
    })
  }
}

/**
 * Whether a launch on a broken stream is known to be over. Later launches need not wait for it, and do not fail with it.
 */
function isOver({ stream, tick }: Use): boolean {
  return tick <= stream.brokenAt
}

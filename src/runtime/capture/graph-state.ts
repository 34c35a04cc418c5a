import type { GraphHandle } from "../../driver.js"
import { AuxstreamError } from "../../common/errors.js"
import { type Capture, captureOf } from "./capture.js"
import type { GraphCapture } from "./graph-capture.js"
import { type GroupLaunches, LaunchEnd, LaunchGroup } from "../memory/launch-group.js"
import { type Access, Operation, OperationType } from "../order/operation.js"
import { refuse } from "./operation.js"
import type { RecordPoint } from "../order/record-point.js"
import type { NodeArguments } from "./node-changes.js"
import { Prerequisites } from "./prerequisites.js"
import type { StreamState, Use } from "../order/stream-state.js"

const launchOfGraph = new OperationType("graph", "graph", [])

/** The state behind a {@link Graph}. It outlives a forgotten `Graph`, and must never refer to that object. */
export class GraphState {
  capture: GraphCapture
  handle: GraphHandle
  /** The group of graphs that share memory with it. */
  readonly group = new LaunchGroup(1)
  readonly #end = new LaunchEnd()
  #prerequisites: Prerequisites
  /** The accesses of the graph's nodes, collected when they are first needed. */
  #accesses: readonly Access[] | undefined
  #disposed = false

  constructor(capture: GraphCapture, handle: GraphHandle) {
    this.capture = capture
    this.handle = handle
    this.#prerequisites = this.#joinMemory()
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
    const former = this.capture
    const formerHandle = this.handle
    this.capture = capture
    this.handle = handle
    this.#accesses = undefined
    this.#prerequisites = this.#joinMemory()
    this.#release(former, formerHandle === handle ? undefined : formerHandle)
  }

  #makeChangeable(): GraphHandle {
    const former = this.handle
    this.handle = this.capture.order.driver.graphs.makeChangeable(former)
    if (this.handle !== former) this.#destroyAfter(this.group.launches.uses.list(), former)
    return this.handle
  }

  /** See {@link NodeChanges.setEnabled}. */
  setEnabled(place: number, enabled: boolean): void {
    if (enabled === this.capture.changes.isEnabled(place)) return
    this.capture.changes.setEnabled(this.#makeChangeable(), place, enabled)
    this.#accesses = undefined
  }

  /** See {@link NodeChanges.setArguments}. */
  setArguments(place: number, args: NodeArguments): void {
    const added = this.capture.changes.setArguments(
      this.#makeChangeable(),
      place,
      args,
      this.group.launches.uses.list(),
    )
    for (const memory of added) {
      this.group.unite(memory.launchGroup)
      this.#prerequisites.add(memory)
    }
    this.#accesses = undefined
  }

  /**
   * Queues a launch. Inside a capture, the graph becomes part of the captured graph.
   *
   * @param isStreamNamed whether the caller named the stream, so that no observer may choose another
   */
  launch(stream: StreamState, isStreamNamed: boolean): void {
    const operation = stream.order.isWatched ? this.#show(stream, isStreamNamed) : undefined
    const target = operation === undefined ? stream : operation.stream
    target.checkUsable()
    try {
      const outer = captureOf(target)
      if (outer === undefined || operation === undefined) this.#queue(target, operation)
      else this.#addTo(outer, operation)
    } catch (error) {
      throw refuse(operation, error)
    }
  }

  #addTo(outer: Capture, operation: Operation): void {
    if (!this.capture.changes.hasDisabled) return outer.addGraph(this, operation)
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "A graph with disabled nodes cannot be launched inside a capture, because CUDA would enable them again. Enable them " +
        "first, or capture without them.",
    )
  }

  #show(stream: StreamState, isStreamNamed: boolean): Operation {
    const { plan } = this.capture
    this.#accesses ??= plan.accesses()
    return new Operation(launchOfGraph, stream, this.#accesses, plan, this.group).show(isStreamNamed)
  }

  #queue(stream: StreamState, operation: Operation | undefined): void {
    const { memory, order } = this.capture
    const { failures } = stream
    if (failures?.arePossible === true) memory.checkWritten()
    const { launches } = this.group
    const learned = launches.uses.isBefore(stream) ? undefined : this.#orderBehindLaunches(stream, launches)
    this.#prerequisites.orderBefore(stream)
    order.driver.graphs.launch(this.handle, stream.handle)
    if (learned !== undefined) stream.learn(learned)
    const tick = stream.advance(operation)
    operation?.accepted(tick)
    launches.uses.note(stream, tick)
    this.#end.note(stream, tick, this.handle, launches.graphs > 1)
    launches.latest = this.#end
    if (failures !== undefined) memory.noteWrites(failures)
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

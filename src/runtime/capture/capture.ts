import type { EventHandle, GraphHandle, StreamHandle } from "../../driver/handles.js"
import { ArenaArray } from "./arena.js"
import { CaptureLink, type Dependency, type OpenCapture } from "../order/capture.js"
import { GraphMemory } from "./graph-memory.js"
import { GraphPlan } from "./graph-plan.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { ModuleMemory } from "../memory/module-memory.js"
import type { UsedMemory } from "../memory/used-memory.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Operation } from "../order/observer/operation.js"
import type { RecordPoint } from "../order/record-point.js"
import type { StreamState } from "../order/stream-state.js"

/** A graph that is launched inside a capture. */
export interface LaunchedGraph {
  readonly capture: Capture
  readonly group: LaunchGroup
  readonly handle: GraphHandle
}

/**
 * A capture. Until it ends, operations queued on its streams do not run but become a graph, or the body of a conditional in
 * a graph. It starts with a private stream. Another stream becomes part of it by waiting for one of its streams.
 */
export abstract class Capture implements OpenCapture {
  readonly order: DeviceOrder
  readonly plan = new GraphPlan()
  readonly memory: GraphMemory
  /** The reference for objects that may outlive the capture. */
  readonly link: CaptureLink
  /** Whether a stream of the capture, or of a graph or body in it, has a priority other than 0. */
  hasPriorities = false
  /** Whatever refers to this object keeps the graph alive: see {@link Device.watchGraph}. */
  life: object | undefined
  protected readonly root: StreamState
  readonly #workspaces = new Map<StreamState, ArenaArray>()
  /** The streams of the capture, each with the nodes that must run directly before its next node. */
  readonly #dependencies = new Map<StreamState, readonly Dependency[]>()
  /** The graphs launched inside: the newest node of each group. */
  #graphs: { readonly group: LaunchGroup; readonly stream: StreamState; readonly tick: number }[] = []
  #failure: { readonly error: unknown } | undefined

  /** @param around the enclosing capture, for the body of a conditional */
  constructor(order: DeviceOrder, root: StreamState, around?: Capture) {
    this.order = order
    this.link = new CaptureLink(order, this)
    this.root = root
    this.memory = new GraphMemory(order, around?.memory)
    this.life = around?.life ?? {}
  }

  /** Whether it has ended or was cancelled. */
  get over(): boolean {
    return this.link.capture === undefined
  }

  protected abstract beginInDriver(): void
  protected abstract cancelInDriver(): void

  /** Begins the capture. If this throws, nothing has changed. */
  begin(): void {
    this.beginInDriver()
    this.order.captures.begin(this)
    this.admit(this.root, undefined)
  }

  admit(stream: StreamState, before: EventHandle | undefined, handle?: StreamHandle): void {
    stream.joinCapture(this, before, handle)
    if (stream.priority !== this.order.driver.priorities.least) this.hasPriorities = true
    this.#dependencies.set(stream, [])
  }

  addNode(operation: Operation, tick: number): number {
    const { stream } = operation
    const node = this.plan.add(operation, this.dependenciesOf(stream))
    this.#dependencies.set(stream, [{ node, slot: stream.slot, tick }])
    return node
  }

  /** The operation captured last launches this kernel of a module. */
  noteKernel(kernel: object, module: ModuleMemory): void {
    this.plan.noteKernel(kernel)
    this.memory.keepModule(module)
  }

  /**
   * Adds edges for a wait, and drops dependencies that another dependency already implies. Must be called before the point
   * is merged into the stream's clock.
   */
  addWait(stream: StreamState, point: RecordPoint): void {
    const own = this.dependenciesOf(stream).filter(
      ({ node, slot, tick }) => !point.isAfter(slot, tick) || point.dependencies.some((one) => one.node === node),
    )
    const added = point.dependencies.filter(
      (one) => !stream.isAfter(one.slot, one.tick) && !own.some(({ node }) => node === one.node),
    )
    this.#dependencies.set(stream, [...own, ...added])
  }

  dependenciesOf(stream: StreamState): readonly Dependency[] {
    return this.#dependencies.get(stream) ?? []
  }

  /** Adds a graph launched inside as one node. It runs after earlier graphs that share memory with it. */
  addGraph({ capture, group, handle }: LaunchedGraph, operation: Operation): void {
    const { stream } = operation
    this.#waitForGraphs(stream, (other) => other.isOneWith(group))
    this.order.driver.graphs.launch(handle, stream.handle)
    const tick = stream.advance(operation)
    this.#noteGraph(group, stream, tick)
    this.include(capture, stream, tick, false)
    operation.accepted(tick)
  }

  /**
   * Called before a conditional. It is not known yet which graphs its body launches, so the conditional runs after all of
   * them.
   */
  waitForAllGraphs(stream: StreamState): void {
    this.#waitForGraphs(stream, () => true)
  }

  #waitForGraphs(stream: StreamState, isMeant: (group: LaunchGroup) => boolean): void {
    for (const { group, stream: other, tick } of this.#graphs) {
      if (isMeant(group) && !stream.isAfter(other.slot, tick)) stream.waitFor(other)
    }
  }

  #noteGraph(group: LaunchGroup, stream: StreamState, tick: number): void {
    this.#graphs = this.#graphs.filter((graph) => !graph.group.isOneWith(group))
    this.#graphs.push({ group, stream, tick })
  }

  mayAdmit(_stream: StreamState): boolean {
    return false
  }

  /** Makes another capture, which has ended, part of this one, as the operation just counted. */
  include(part: Capture, stream: StreamState, tick: number, isBody: boolean): void {
    const { hasPriorities, memory, plan } = part
    if (hasPriorities) this.hasPriorities = true
    this.memory.include(memory, this.plan.include(plan), isBody)
    for (const { group } of part.#graphs) this.#noteGraph(group, stream, tick)
    for (const used of memory.kept) {
      this.keep(used)
      this.use(used, stream, tick)
    }
  }

  /** The workspace for library calls on a stream, for the whole capture. */
  workspaceOf(stream: StreamState, byteLength: number): ArenaArray {
    const known = this.#workspaces.get(stream)
    if (known !== undefined) return known
    const workspace = this.memory.arena.allocate(stream, byteLength)
    this.#workspaces.set(stream, workspace)
    return workspace
  }

  /** Makes the stream's next operation, which uses the memory, run after the memory's birth. */
  prepare(memory: UsedMemory, stream: StreamState): void {
    if (this.owns(memory)) return memory.capturedBirth?.orderBefore(stream)
    this.checkBirth(memory)
    this.memory.keep(memory)
  }

  /** Throws if the memory was made in an enclosing capture at a point that is not ordered before this one. */
  checkBirth(_memory: UsedMemory): void {}

  /** Notes that the graph uses this memory, and keeps it. */
  keep(memory: UsedMemory): void {
    if (!this.owns(memory)) this.memory.keep(memory)
  }

  /** Notes a use of the graph's own memory inside the capture. Other memory is used by the graph's launches. */
  use(memory: UsedMemory, stream: StreamState, tick: number): void {
    if (this.owns(memory)) memory.captureUses.note(stream, tick)
  }

  /** Whether the memory was made inside. */
  owns(memory: UsedMemory): memory is ArenaArray {
    return memory instanceof ArenaArray && memory.arena === this.memory.arena
  }

  /** Makes the end of the capture throw this error, because the captured operations cannot become a graph. */
  invalidate(error: unknown): void {
    this.#failure ??= { error }
  }

  /**
   * Ends the capture by calling the driver. Joins forks that are not joined yet. If anything fails, cancels the capture.
   */
  protected endWith<T>(endInDriver: () => T): T {
    try {
      if (this.#failure !== undefined) throw this.#failure.error
      for (const stream of this.#dependencies.keys()) if (stream !== this.root) this.root.waitFor(stream)
    } catch (error) {
      this.cancel()
      throw error
    }
    let ended = false
    try {
      const result = endInDriver()
      ended = true
      return result
    } finally {
      this.#leave()
      if (!ended) this.memory.disposeBehind([])
    }
  }

  cancel(): void {
    if (this.over) return
    this.cancelInDriver()
    this.#leave()
    this.memory.disposeBehind([])
  }

  #leave(): void {
    this.link.cut()
    this.life = undefined
    for (const stream of this.#dependencies.keys()) stream.leaveCapture()
    this.#dependencies.clear()
    this.plan.regions.seal()
    this.memory.arena.seal(this.order.events)
    this.order.captures.end(this)
  }
}

/** The innermost capture of a stream. */
export function captureOf({ capture }: StreamState): Capture | undefined {
  return capture !== undefined && capture instanceof Capture ? capture : undefined
}

import type { EventHandle, GraphHandle, StreamHandle } from "../../driver.js"
import { ArenaArray } from "./arena.js"
import { CaptureLink, type Dependency, type OpenCapture } from "../order/capture.js"
import { GraphMemory } from "./graph-memory.js"
import { GraphPlan } from "./graph-plan.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { ModuleMemory } from "../memory/module-memory.js"
import type { UsedMemory } from "../memory/used-memory.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Operation } from "../order/operation.js"
import type { RecordPoint } from "../order/record-point.js"
import type { StreamState } from "../order/stream-state.js"

/** A graph that is launched inside a capture. */
export interface LaunchedGraph {
  readonly capture: Capture
  readonly group: LaunchGroup
  readonly handle: GraphHandle
}

/**
 * A capture: from its beginning to its end, what is queued on its streams does not run but becomes a graph, or the body
 * of a conditional in one. It starts on a private stream; others come in by waiting for one that takes part.
 */
export abstract class Capture implements OpenCapture {
  readonly order: DeviceOrder
  readonly plan = new GraphPlan()
  readonly memory: GraphMemory
  /** What outlives the capture holds this in its place. */
  readonly link: CaptureLink
  /** Does a stream of it, or of a part, have a priority of its own? */
  hasPriorities = false
  /** Whatever holds on to this, while the capture lasts and afterwards, keeps the graph: see {@link Device.watchGraph}. */
  life: object | undefined
  protected readonly root: StreamState
  readonly #workspaces = new Map<StreamState, ArenaArray>()
  /** The streams that take part, each with the nodes that its next one comes directly after. */
  readonly #dependencies = new Map<StreamState, readonly Dependency[]>()
  /** The graphs that became part of this one: the newest node of each group. */
  #graphs: { readonly group: LaunchGroup; readonly stream: StreamState; readonly tick: number }[] = []
  #failure: { readonly error: unknown } | undefined

  /** `around`: the capture that this one is in. */
  constructor(order: DeviceOrder, root: StreamState, around?: Capture) {
    this.order = order
    this.link = new CaptureLink(order, this)
    this.root = root
    this.memory = new GraphMemory(order, around?.memory)
    this.life = around?.life ?? {}
  }

  /** Was it ended or cancelled? */
  get over(): boolean {
    return this.link.capture === undefined
  }

  protected abstract beginInDriver(): void
  protected abstract cancelInDriver(): void

  /** A failure leaves everything as it was. */
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

  /** Comes before the stream's clock learns what the point knows: nodes that others of the two are behind go. */
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

  /** Another graph becomes one node, behind those that it shares memory with: launches of these run one after another. */
  addGraph({ capture, group, handle }: LaunchedGraph, operation: Operation): void {
    const { stream } = operation
    this.#waitForGraphs(stream, (other) => other.isOneWith(group))
    this.order.driver.graphs.launch(handle, stream.handle)
    const tick = stream.advance(operation)
    this.#noteGraph(group, stream, tick)
    this.include(capture, stream, tick, false)
    operation.accepted(tick)
  }

  /** Before a conditional: which graphs its body will launch is not known, and it cannot be put behind any later. */
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

  /** What another capture has become is part of this one, at the operation just counted. */
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

  /** The scratch memory of library calls on a stream, for the whole of the capture. */
  workspaceOf(stream: StreamState, byteLength: number): ArenaArray {
    const known = this.#workspaces.get(stream)
    if (known !== undefined) return known
    const workspace = this.memory.arena.allocate(stream, byteLength)
    this.#workspaces.set(stream, workspace)
    return workspace
  }

  /** Has the stream's next operation, which uses the memory, come behind its birth. */
  prepare(memory: UsedMemory, stream: StreamState): void {
    if (this.owns(memory)) return memory.capturedBirth?.orderBefore(stream)
    this.checkBirth(memory)
    this.memory.keep(memory)
  }

  /** Refuses memory that begins in a capture around this one, at a point that this one is not behind. */
  checkBirth(_memory: UsedMemory): void {}

  /** The graph names this memory. */
  keep(memory: UsedMemory): void {
    if (!this.owns(memory)) this.memory.keep(memory)
  }

  /** Notes a use: inside the capture where it is the graph's own memory; of other memory, launches are the uses. */
  use(memory: UsedMemory, stream: StreamState, tick: number): void {
    if (this.owns(memory)) memory.captureUses.note(stream, tick)
  }

  /** Was it made inside? */
  owns(memory: UsedMemory): memory is ArenaArray {
    return memory instanceof ArenaArray && memory.arena === this.memory.arena
  }

  /** What has been captured so far cannot become a graph: its end will throw this error. */
  invalidate(error: unknown): void {
    this.#failure ??= { error }
  }

  /** Ends the capture with a call of the driver's. Forks that nobody joined are joined. A failure cancels it. */
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
    this.memory.arena.seal(this.order.events)
    this.order.captures.end(this)
  }
}

/** The capture that a stream takes part in. */
export function captureOf({ capture }: StreamState): Capture | undefined {
  return capture !== undefined && capture instanceof Capture ? capture : undefined
}

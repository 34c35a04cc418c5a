/**
 * Instantiates captured graphs, launches them and adds them to other graphs. An executable with conditionals must be
 * destroyed only while the device is idle, because CUDA would wait for that.
 */
import type { ConditionalKind, DriverGraphs } from "../../driver/graphs.js"
import type { GraphHandle, KernelHandle, NodeHandle, StreamHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory } from "../native/c-memory.js"
import { Chains } from "./chains.js"
import type { Captures } from "../stream/captures.js"
import type { Conditionals } from "./conditionals.js"
import type { CudaContext } from "../api/context.js"
import type { Kernels } from "../kernel/kernels.js"
import type { GraphNodes } from "./nodes.js"
import type { Quiet } from "../sharing/quiet.js"
import { SUCCESS } from "../api/status.js"

const RESULT_INFO_BYTES = 64
/** Nodes run with the priorities of the streams they were captured on, not with that of the launching stream. */
const USE_NODE_PRIORITY = 8

/** A captured graph, and how many executables were instantiated from it. */
interface Template {
  readonly graph: number
  executables: number
}

/** What an executable was instantiated from. */
interface Instantiation {
  readonly template: Template
  /** Whether its nodes run one after another. */
  readonly isChained: boolean
  /** An update does not change them. */
  readonly flags: number
  /** The nodes that are disabled in the executable. The template has no such state. */
  readonly disabled: Set<NodeHandle>
  /** Whether it was updated. CUDA then knows none of the template's nodes (measured on an H200, driver 580). */
  readonly isUpdated: boolean
}

/** What an executable is made of. */
type Made = Omit<Instantiation, "isUpdated">

/** With more retired executables than this, a sweep waits for an idle device, for at most this many milliseconds. */
const MOST_RETIRED = 16
const LONGEST_SWEEP = 20

/** What {@link Graphs} is made of. */
export interface GraphParts {
  readonly context: CudaContext
  readonly captures: Captures
  readonly conditionals: Conditionals
  readonly nodes: GraphNodes
  readonly kernels: Kernels
  readonly quiet: Quiet
}

/** See `DriverGraphs`. A graph's handle is that of its executable. */
export class Graphs implements DriverGraphs {
  readonly #context: CudaContext
  readonly #captures: Captures
  readonly #conditionals: Conditionals
  readonly #nodes: GraphNodes
  readonly #chains: Chains
  readonly #kernels: Kernels
  readonly #instantiations = new Map<GraphHandle, Instantiation>()
  readonly #quiet: Quiet
  /** Executables that others have replaced, until the runtime destroys them; and whether they have conditionals. */
  readonly #replaced = new Map<GraphHandle, boolean>()
  /** Unused executables with conditionals, to be destroyed while the device is idle. */
  readonly #retired = new Set<GraphHandle>()
  readonly #out = new CMemory(RESULT_INFO_BYTES)

  constructor({ context, captures, conditionals, nodes, kernels, quiet }: GraphParts) {
    this.#context = context
    this.#quiet = quiet
    this.#captures = captures
    this.#conditionals = conditionals
    this.#nodes = nodes
    this.#chains = new Chains(context)
    this.#kernels = kernels
  }

  beginCapture(stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#captures.begin(stream)
  }

  endCapture(
    stream: StreamHandle,
    update: GraphHandle | undefined,
    keepsPriorities = false,
    isChained = false,
  ): GraphHandle {
    this.sweep()
    const template = { graph: this.#captures.end(stream), executables: 1 }
    this.#context.holding.add("graph", template.graph)
    const flags = keepsPriorities ? USE_NODE_PRIORITY : 0
    const made = { template, flags, isChained, disabled: new Set<NodeHandle>() }
    try {
      const isUpdated = update !== undefined && this.#updates(update, made)
      const handle = isUpdated ? update : this.#instantiate(made)
      this.#keep(handle, { ...made, isUpdated })
      return handle
    } catch (error) {
      this.#destroyTemplate(template)
      throw error
    }
  }

  chain(graph: GraphHandle): GraphHandle {
    const instantiation = this.#instantiations.get(graph)
    if (instantiation === undefined) throw new RangeError(`There is no graph ${graph}.`)
    const made = { ...instantiation, isChained: true, disabled: new Set<NodeHandle>(), isUpdated: false }
    const handle = this.#instantiate(made)
    made.template.executables++
    this.#instantiations.set(handle, made)
    return handle
  }

  cancelCapture(stream: StreamHandle): void {
    const graph = this.#captures.cancel(stream)
    if (graph !== undefined) this.#destroyTemplate({ graph, executables: 1 })
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#conditionals.begin(kind, condition, stream, body)
  }

  endConditional(body: StreamHandle): void {
    this.#conditionals.end(body)
  }

  cancelConditional(body: StreamHandle): void {
    this.#conditionals.cancel(body)
  }

  #instantiate({ template, flags, isChained }: Made): GraphHandle {
    const { cuGraphInstantiateWithFlags } = this.#context.graphCalls
    this.#inOrder(template.graph, isChained, () => {
      const status = this.#context.room.for(() =>
        this.#context.within(() => cuGraphInstantiateWithFlags(this.#out.address, template.graph, flags)),
      )
      this.#context.check(status, "cuGraphInstantiateWithFlags")
    })
    const executable = this.#out.number(0)
    this.#context.holding.add("executable", executable)
    return executable
  }

  /** Calls a function, while the graph's nodes are in one chain if it is wanted. */
  #inOrder<T>(graph: number, isChained: boolean, fn: () => T): T {
    return isChained ? this.#chains.within(graph, fn) : fn()
  }

  /**
   * Updates the executable, and enables all nodes.
   *
   * @returns false if the graph has another shape; then the executable is unchanged
   */
  #updates(executable: GraphHandle, { template: { graph }, flags, isChained }: Made): boolean {
    const former = this.#instantiations.get(executable)
    if (former?.flags !== flags) return false
    const { cuGraphExecUpdate } = this.#context.graphCalls
    const { address } = this.#out
    // An update enables no node.
    this.#nodes.setEnabled(executable, former.disabled, true)
    const update = () => this.#context.within(() => cuGraphExecUpdate(executable, graph, address))
    let isUpdated = false
    try {
      isUpdated = this.#inOrder(graph, isChained, update) === SUCCESS
    } finally {
      if (!isUpdated) this.#nodes.setEnabled(executable, former.disabled, false)
    }
    return isUpdated
  }

  #keep(executable: GraphHandle, instantiation: Instantiation): void {
    const former = this.#instantiations.get(executable)
    this.#instantiations.set(executable, instantiation)
    if (former !== undefined) this.#destroyTemplate(former.template)
  }

  /** Destroys the captured graph if no other executable was made from it. */
  #destroyTemplate(template: Template): void {
    if (--template.executables > 0) return
    const { graph } = template
    this.#conditionals.forget(graph)
    if (this.#context.isLost) return
    this.#context.holding.remove(graph)
    const status = this.#context.graphCalls.cuGraphDestroy(graph)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphDestroy")
  }

  /** `cuGraphLaunch` orders the launches of one executable graph itself. */
  orderBehindLaunch(): void {}

  /** Queues a launch. On a captured stream, the graph becomes one node. */
  launch(graph: GraphHandle, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    if (this.#captures.isInOwnCapture(stream)) return this.#addTo(stream, graph)
    const { cuGraphLaunch } = this.#context.graphCalls
    const status = cuGraphLaunch(graph, stream)
    if (status === SUCCESS) return
    this.#context.check(
      this.#context.room.for(() => cuGraphLaunch(graph, stream), status),
      "cuGraphLaunch",
    )
  }

  #addTo(stream: StreamHandle, executable: GraphHandle): void {
    const instantiation = this.#instantiations.get(executable)
    if (instantiation === undefined) throw new RangeError(`There is no graph ${executable}.`)
    const { template, isChained } = instantiation
    if (this.#conditionals.areIn(template.graph)) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        "A graph with conditionals cannot be launched inside a capture, because CUDA does not allow it. Call its function instead.",
      )
    }
    const { graph, dependencies, count } = this.#captures.pointOf(stream)
    const { cuGraphAddChildGraphNode } = this.#context.graphCalls
    this.#inOrder(template.graph, isChained, () => {
      const status = this.#context.room.for(() =>
        cuGraphAddChildGraphNode(this.#out.address, graph, dependencies, count, template.graph),
      )
      this.#context.check(status, "cuGraphAddChildGraphNode")
    })
    this.#captures.continueAfter(this.#out.number(0), stream)
  }

  capturedNode(stream: StreamHandle): NodeHandle {
    return this.#captures.lastNodeOf(stream)
  }

  capturedCount(stream: StreamHandle): number {
    return this.#captures.countOf(stream)
  }

  makeChangeable(executable: GraphHandle): GraphHandle {
    const instantiation = this.#instantiations.get(executable)
    if (instantiation?.isUpdated !== true) return executable
    const handle = this.#instantiate(instantiation)
    this.#instantiations.delete(executable)
    this.#instantiations.set(handle, { ...instantiation, isUpdated: false })
    this.#replaced.set(executable, this.#conditionals.areIn(instantiation.template.graph))
    return handle
  }

  setNodeArguments(
    executable: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    this.#nodes.setArguments(executable, node, this.#kernels.get(kernel), args, structs)
  }

  setNodeEnabled(executable: GraphHandle, node: NodeHandle, enabled: boolean): void {
    const instantiation = this.#instantiations.get(executable)
    if (instantiation === undefined) return
    this.#nodes.setEnabled(executable, [node], enabled)
    if (enabled) instantiation.disabled.delete(node)
    else instantiation.disabled.add(node)
  }

  destroy(executable: GraphHandle): void {
    const hasConditionals = this.#forget(executable)
    if (hasConditionals === undefined) return
    if (hasConditionals) this.#retired.add(executable)
    else this.#destroyExecutable(executable)
    this.sweep()
  }

  /** @returns whether the executable has conditionals; undefined if there is no such executable */
  #forget(executable: GraphHandle): boolean | undefined {
    const replaced = this.#replaced.get(executable)
    this.#replaced.delete(executable)
    const instantiation = this.#instantiations.get(executable)
    if (instantiation === undefined) return replaced
    this.#instantiations.delete(executable)
    const hasConditionals = this.#conditionals.areIn(instantiation.template.graph)
    this.#destroyTemplate(instantiation.template)
    return hasConditionals
  }

  #destroyExecutable(executable: GraphHandle): void {
    if (this.#context.isLost) return
    this.#context.holding.remove(executable)
    const status = this.#context.graphCalls.cuGraphExecDestroy(executable)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphExecDestroy")
  }

  /** Destroys the retired executables if the device is idle. If there are too many, waits for that for a short time. */
  sweep(): void {
    if (this.#retired.size === 0 || this.#context.isLost) return
    if (!this.#isQuiet()) return
    for (const executable of this.#retired) this.#destroyExecutable(executable)
    this.#retired.clear()
  }

  #isQuiet(): boolean {
    try {
      return this.#quiet.within(this.#retired.size > MOST_RETIRED ? LONGEST_SWEEP : 0)
    } catch {
      return false // The device is lost. The next call that may throw reports it.
    }
  }

  /** All work must be over. */
  close(): void {
    for (const executable of [...this.#instantiations.keys(), ...this.#replaced.keys()]) this.destroy(executable)
    // `leftovers.ts` destroys the retired ones, with everything else that the device leaves behind.
    this.#retired.clear()
  }
}

/**
 * Instantiates captured graphs, launches them and adds them to other graphs. An executable with conditionals must be
 * destroyed only while the device is idle, because CUDA would wait for that.
 */
import type {
  ConditionalKind,
  DriverGraphs,
  GraphHandle,
  KernelArgument,
  KernelHandle,
  NodeHandle,
  StreamHandle,
} from "../../driver.js"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory } from "../native/c-memory.js"
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

/** The graph and the flags that an executable was instantiated from. */
interface Instantiation {
  readonly template: number
  /** An update does not change them. */
  readonly flags: number
  /** The nodes that are disabled in the executable. The template has no such state. */
  readonly disabled: Set<NodeHandle>
  /** Whether it was updated. CUDA then knows none of the template's nodes (measured on an H200, driver 580). */
  readonly isUpdated: boolean
}

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
    this.#kernels = kernels
  }

  beginCapture(stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#captures.begin(stream)
  }

  endCapture(stream: StreamHandle, update: GraphHandle | undefined, keepsPriorities = false): GraphHandle {
    this.sweep()
    const template = this.#captures.end(stream)
    this.#context.holding.add("graph", template)
    const flags = keepsPriorities ? USE_NODE_PRIORITY : 0
    try {
      const isUpdated = update !== undefined && this.#updates(update, template, flags)
      const handle = isUpdated ? update : this.#instantiate(template, flags)
      this.#keep(handle, { template, flags, disabled: new Set(), isUpdated })
      return handle
    } catch (error) {
      this.#destroyTemplate(template)
      throw error
    }
  }

  cancelCapture(stream: StreamHandle): void {
    const graph = this.#captures.cancel(stream)
    if (graph !== undefined) this.#destroyTemplate(graph)
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

  #instantiate(template: number, flags: number): GraphHandle {
    const { cuGraphInstantiateWithFlags } = this.#context.graphCalls
    const status = this.#context.room.for(() =>
      this.#context.within(() => cuGraphInstantiateWithFlags(this.#out.address, template, flags)),
    )
    this.#context.check(status, "cuGraphInstantiateWithFlags")
    const executable = this.#out.number(0)
    this.#context.holding.add("executable", executable)
    return executable
  }

  /**
   * Updates the executable, and enables all nodes.
   *
   * @returns false if the graph has another shape; then the executable is unchanged
   */
  #updates(executable: GraphHandle, template: number, flags: number): boolean {
    const former = this.#instantiations.get(executable)
    if (former?.flags !== flags) return false
    const { cuGraphExecUpdate } = this.#context.graphCalls
    // An update enables no node.
    this.#nodes.setEnabled(executable, former.disabled, true)
    if (this.#context.within(() => cuGraphExecUpdate(executable, template, this.#out.address)) === SUCCESS) return true
    this.#nodes.setEnabled(executable, former.disabled, false)
    return false
  }

  #keep(executable: GraphHandle, instantiation: Instantiation): void {
    const former = this.#instantiations.get(executable)
    this.#instantiations.set(executable, instantiation)
    if (former !== undefined) this.#destroyTemplate(former.template)
  }

  #destroyTemplate(graph: number): void {
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
    const { template } = this.#instantiations.get(executable) ?? { template: 0 }
    if (this.#conditionals.areIn(template)) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        "A graph with conditionals cannot be launched inside a capture, because CUDA does not allow it. Call its function instead.",
      )
    }
    const { graph, dependencies, count } = this.#captures.pointOf(stream)
    const { cuGraphAddChildGraphNode } = this.#context.graphCalls
    const status = this.#context.room.for(() =>
      cuGraphAddChildGraphNode(this.#out.address, graph, dependencies, count, template),
    )
    this.#context.check(status, "cuGraphAddChildGraphNode")
    this.#captures.continueAfter(this.#out.number(0), stream)
  }

  capturedNode(stream: StreamHandle): NodeHandle {
    return this.#captures.lastNodeOf(stream)
  }

  makeChangeable(executable: GraphHandle): GraphHandle {
    const instantiation = this.#instantiations.get(executable)
    if (instantiation?.isUpdated !== true) return executable
    const { template, flags } = instantiation
    const handle = this.#instantiate(template, flags)
    this.#instantiations.delete(executable)
    this.#instantiations.set(handle, { ...instantiation, isUpdated: false })
    this.#replaced.set(executable, this.#conditionals.areIn(template))
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
    const hasConditionals = this.#conditionals.areIn(instantiation.template)
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

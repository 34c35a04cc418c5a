import { checkBoolean } from "../../common/check.js"
import type { Device } from "../device/device.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import type { GraphCapture } from "../capture/graph-capture.js"
import type { GraphPlan } from "../capture/graph-plan.js"
import type { GraphState } from "../capture/graph-state.js"
import { Kernel } from "../kernel/kernel.js"
import type { OperationKind } from "../order/observer/operation.js"
import type { Arguments, Parameter } from "../kernel/parameter-types.js"

/**
 * The kind of a node: a launch of a kernel, a copy, a fill, matrix products, work of another library, a graph launched
 * inside, or a conditional.
 */
export type GraphNodeKind = "kernel" | "copy" | "fill" | "matmul" | "external" | "graph" | "conditional"

const kinds: Readonly<Record<OperationKind, GraphNodeKind>> = {
  launch: "kernel",
  copy: "copy",
  upload: "copy",
  read: "copy",
  fill: "fill",
  matmul: "matmul",
  external: "external",
  graph: "graph",
  conditional: "conditional",
}

/** The captured graph of the nodes. */
interface Owner {
  readonly device: Device
  readonly state: GraphState
  readonly capture: GraphCapture
}

/**
 * One operation of a graph: an element of {@link Graph.nodes}. You can give a kernel node other arguments, or disable
 * it, without capturing again. A change applies to launches of the graph that are queued later, and to graphs that
 * include it later. CUDA: `CUgraphNode`.
 *
 * @example
 * const graph = captureGraph(() => model(x))
 * for (const node of graph.nodes) if (node.launches(rope)) node.setArguments(n, position, x)
 * graph.launch()
 */
export class GraphNode<S extends readonly Parameter[] = readonly Parameter[]> {
  /** The kind of operation. */
  readonly kind: GraphNodeKind
  /** The name in {@link Graph.toDot}: the kernel's name, or the kind of operation. */
  readonly label: string
  /** The kernel of a kernel node; otherwise undefined. */
  readonly kernel: Kernel<S> | undefined
  /** The operations of a graph that was launched inside, or of a conditional's body. They can only be read. */
  readonly nodes: readonly GraphNode[]
  readonly #owner: Owner
  readonly #place: number
  /** The operation that contains it; undefined for an operation of the graph itself. */
  readonly #container: string | undefined

  private constructor(
    owner: Owner,
    plan: GraphPlan,
    place: number,
    container: string | undefined,
    kernel: Kernel<S> | undefined,
  ) {
    const { kind, label } = plan.at(place)
    const part = plan.parts.get(place)
    this.kind = kinds[kind]
    this.label = label
    this.#owner = owner
    this.#place = place
    this.#container = container
    this.kernel = kernel
    this.nodes = part === undefined ? [] : GraphNode.#allOf(owner, part, container ?? containers[this.kind])
  }

  /** @internal The operations of a graph. */
  static of(device: Device, state: GraphState): readonly GraphNode[] {
    const { capture } = state
    return GraphNode.#allOf({ device, state, capture }, capture.plan, undefined)
  }

  static #allOf(owner: Owner, plan: GraphPlan, container: string | undefined): readonly GraphNode[] {
    const nodes = plan.nodes.map((_, place) => {
      const kernel = plan.kernels.get(place)
      const node = new GraphNode(owner, plan, place, container, kernel instanceof Kernel ? kernel : undefined)
      Object.freeze(node)
      return node
    })
    Object.freeze(nodes)
    return nodes
  }

  /**
   * Whether the node is a launch of this kernel. The compiler then knows the types of {@link setArguments}. Never throws.
   *
   * @param kernel a kernel
   */
  launches<K extends readonly Parameter[]>(kernel: Kernel<K>): this is GraphNode<K> {
    return Object.is(this.kernel, kernel)
  }

  /**
   * Gives a kernel node other arguments, for launches of the graph that are queued later. Grid, block and the arrays in
   * `uses` stay the same. The graph keeps the new arrays alive, and the old ones until earlier launches are done. CUDA:
   * `cuGraphExecKernelNodeSetParams`.
   *
   * @param args one for each parameter of the kernel's signature, like those of `kernel.launch`. Arrays that the graph
   * itself makes are allowed if they are made before the node runs
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, also for a node that is not a launch, or is inside a conditional or
   * another graph; AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH, AUX_OUT_OF_RANGE; DisposedError, also after
   * `graph.update()`
   */
  setArguments(...args: Arguments<S>): void
  setArguments(...args: unknown[]): void {
    const { device, state } = this.#owner
    this.#checkCurrent("setArguments()")
    if (this.kernel === undefined) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${this.#name} has no arguments: only a launch of a kernel has. Use graph.update() to change other operations.`,
      )
    }
    state.setArguments(this.#place, this.kernel.nodeArguments(device, args))
  }

  /**
   * Whether the node runs in launches of the graph that are queued later. A disabled node keeps its place in the order:
   * nodes after it still run after those before it. You can set it only for kernel nodes, because in graphs with
   * branches CUDA loses the order around a disabled fill (seen on an H200). `graph.update()` enables all nodes. CUDA:
   * `cuGraphNodeSetEnabled`.
   *
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, also for other nodes, and inside a conditional or another graph;
   * DisposedError, also after `graph.update()`
   */
  get enabled(): boolean {
    return this.#container !== undefined || this.#owner.capture.changes.isEnabled(this.#place)
  }

  /** Enables or disables the node: see the getter. */
  set enabled(enabled: boolean) {
    checkBoolean(enabled, "enabled")
    this.#checkCurrent("enabled")
    if (this.kernel === undefined) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${this.#name} cannot be disabled: only a launch of a kernel can. Use graph.update() to capture without it.`,
      )
    }
    this.#owner.state.setEnabled(this.#place, enabled)
  }

  get #name(): string {
    return `Node ${this.#place} ("${this.label}", ${this.kind})`
  }

  #checkCurrent(what: string): void {
    const { device, state, capture } = this.#owner
    if (state.disposed || device.disposed) {
      throw new DisposedError("The node's graph was disposed of. Capture it again with captureGraph().")
    }
    if (state.capture !== capture) {
      throw new DisposedError(`${this.#name} was replaced by graph.update(). Read graph.nodes again.`)
    }
    if (this.#container === undefined) return
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${what} cannot change ${this.#name}, which is inside ${this.#container}. Use graph.update().`,
    )
  }
}

const containers: Partial<Record<GraphNodeKind, string>> = {
  graph: "a graph that was launched inside this one",
  conditional: "a conditional",
}

import { checkFunction } from "../../common/check.js"
import { captureOn, type Captured } from "./capture-session.js"
import { contents } from "../../common/results/contents.js"
import type { Device } from "../device/device.js"
import { DisposedError } from "../../common/errors.js"
import { GraphNode } from "./graph-node.js"
import type { GraphOverlap } from "../order/policy/overlap-policy.js"
import { GraphState } from "../capture/graph-state.js"
import type { Join } from "../../common/results/types.js"
import { checkStreamOf, currentStream } from "../device/current.js"
import type { Stream } from "../device/stream.js"

/**
 * Work that was captured once. Each launch queues all of it with one call. Made by {@link captureGraph}. PyTorch:
 * `torch.cuda.CUDAGraph`. CUDA: `CUgraphExec`.
 *
 * @example
 * using graph = captureGraph(() => model(x))
 * x.copyFrom(input)
 * graph.launch()
 * console.log(await graph.result.read())
 * graph.update(() => model(y)) // from now on it reads y
 */
export class Graph<T> {
  /** The device on which the graph runs. */
  readonly device: Device
  /** @internal */
  readonly state: GraphState
  #result: T
  /** Undefined until they are first read. */
  #nodes: readonly GraphNode[] | undefined
  /** @hidden Only referenced, never read. See `watchGraph` of `Device`. */
  protected life: object

  /** @internal */
  constructor(device: Device, state: GraphState, { result, life }: Captured) {
    this.device = device
    this.state = state
    this.#result = result as T // The overloads of captureGraph declare this type.
    this.life = life
  }

  /**
   * The value that the captured function returned or resolved to. Its arrays hold the results of the latest launch.
   *
   * @throws DisposedError
   */
  get result(): T {
    this.#checkUsable()
    return this.#result
  }

  /** @internal The result, for a scope that returns the graph. */
  [contents](): unknown {
    return this.disposed ? undefined : this.#result
  }

  /** The number of operations. A graph launched inside counts as one, and so does a conditional. */
  get nodeCount(): number {
    return this.state.capture.plan.nodes.length
  }

  /**
   * The operations in the order of the calls. You can change them. {@link update} replaces them with new objects,
   * without earlier changes.
   *
   * @throws DisposedError
   */
  get nodes(): readonly GraphNode[] {
    this.#checkUsable()
    this.#nodes ??= GraphNode.of(this.device, this.state)
    return this.#nodes
  }

  /** The number of streams with at least one operation. */
  get branchCount(): number {
    return this.state.capture.plan.streams.length
  }

  /** Pairs of operations, by their index in call order: `to` runs directly after `from`. */
  get edges(): readonly (readonly [from: number, to: number])[] {
    return this.state.capture.plan.edges
  }

  /** The graph in the DOT language of Graphviz, with the names of streams and kernels. `dot -Tsvg` draws it. */
  toDot(): string {
    return this.state.capture.plan.toDot()
  }

  /**
   * How the graph runs, if it was captured with a policy: `mode` is "parallel" if its branches run side by side, and
   * "sequential" if its operations run one after another. `policy.phase` is "warm-up" or "measuring" while launches alternate,
   * then "decided", or "unmeasured". Undefined without a policy.
   */
  get overlap(): GraphOverlap | undefined {
    return this.state.overlap
  }

  /** Whether the graph has been disposed of. */
  get disposed(): boolean {
    return this.state.disposed || this.device.disposed
  }

  #checkUsable(): void {
    if (this.disposed) throw new DisposedError("The graph was disposed of. Capture it again with captureGraph().")
  }

  /**
   * Queues one run of the whole graph. Launches of one graph, and of graphs that share arrays, run one after another, on
   * any streams. Inside a capture, the graph in its present state becomes one operation of the captured graph. CUDA:
   * `cuGraphLaunch`. PyTorch: `replay`.
   *
   * @param stream default: the current stream of the graph's device
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING; on a broken
   * stream the error that broke it
   */
  launch(stream?: Stream): void {
    this.#checkUsable()
    if (stream === undefined) return this.state.launch(currentStream(this.device).state, false)
    checkStreamOf(this.device, stream, "the graph")
    this.state.launch(stream.state, true)
  }

  /**
   * Captures again and replaces the graph's work, for other scalars and arrays. Launches queued before still run the old
   * work. If the function throws, the graph stays unchanged. CUDA: `cuGraphExecUpdate`.
   *
   * @param fn queues the work, like the function of {@link captureGraph}
   * @returns true if the executable graph was changed in place, because it has the same operations and edges; false if a
   * new one was made, which costs more. A promise of that if the function is async
   * @throws the same errors as {@link captureGraph}
   */
  update<R extends T | PromiseLike<T>>(fn: () => R): Join<[R], boolean, boolean>
  update(fn: () => unknown): boolean | Promise<boolean> {
    this.#checkUsable()
    checkFunction(fn, "fn")
    return captureOn(
      this.device,
      fn,
      (plan) => ({
        update: this.state.disposed ? undefined : this.state.handle,
        isChained: this.state.wantsChain(plan),
      }),
      (captured) => this.#take(captured),
    )
  }

  #take({ capture, handle, result, life }: Captured): boolean {
    if (this.state.disposed) {
      new GraphState(capture, handle).dispose()
      this.#checkUsable()
    }
    const inPlace = handle === this.state.handle
    this.state.replace(capture, handle)
    this.device.watchGraph(life, this.state)
    this.life = life
    this.#nodes = undefined
    this.#result = result as T // The overload of update declares this type.
    return inPlace
  }

  /** Releases everything once the last launch is done; does not wait. The arrays of the result end now. */
  dispose(): void {
    this.device.disposeGraph(this.state)
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

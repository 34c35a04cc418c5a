import { checkFunction } from "../../common/check.js"
import { captureOn, type Captured } from "./capture-session.js"
import { contents } from "../../common/contents.js"
import type { Device } from "../device/device.js"
import { DisposedError } from "../../common/errors.js"
import { GraphState } from "../capture/graph-state.js"
import type { Join } from "../../common/results.js"
import { checkStreamOf, currentStream } from "../device/current.js"
import type { Stream } from "../device/stream.js"

/**
 * Work that was captured once and is launched with one call, as often as wanted. Made by {@link captureGraph}. In the
 * words of PyTorch, `torch.cuda.CUDAGraph`; of CUDA, `cuGraphExec`.
 */
export class Graph<T> {
  /** The device that it runs on. */
  readonly device: Device
  /** @internal */
  readonly state: GraphState
  #result: T
  /** Only held, for {@link Device.watchGraph}. */
  protected life: object

  /** @internal */
  constructor(device: Device, state: GraphState, { result, life }: Captured) {
    this.device = device
    this.state = state
    this.#result = result as T // Whoever calls says what the function returns.
    this.life = life
  }

  /** What the captured function returned. Its arrays hold what the latest launch wrote. */
  get result(): T {
    this.#checkUsable()
    return this.#result
  }

  /** @internal For a scope that the graph is the result of. */
  [contents](): unknown {
    return this.disposed ? undefined : this.#result
  }

  /** How many operations it has. A conditional is one, and so is a graph that was launched inside. */
  get nodeCount(): number {
    return this.state.capture.plan.nodes.length
  }

  /** How many streams have at least one of its operations. */
  get branchCount(): number {
    return this.state.capture.plan.streams.length
  }

  /** Which operation runs directly after which, by their places in the order of the captured calls. */
  get edges(): readonly (readonly [from: number, to: number])[] {
    return this.state.capture.plan.edges
  }

  /** The graph in Graphviz's language, with the names of streams and kernels. */
  toDot(): string {
    return this.state.capture.plan.toDot()
  }

  /** Has it been disposed of? */
  get disposed(): boolean {
    return this.state.disposed || this.device.disposed
  }

  #checkUsable(): void {
    if (this.disposed) throw new DisposedError("the graph was disposed of; capture it again with captureGraph()")
  }

  /**
   * Queues one run of the whole graph. Launches of one graph, and of graphs that share arrays, run one after another,
   * on whatever streams. Inside a capture, the graph becomes one operation of the one that is captured, as it is now.
   *
   * @param stream the current stream of the graph's device unless given
   */
  launch(stream: Stream = currentStream(this.device)): void {
    this.#checkUsable()
    checkStreamOf(this.device, stream, "the graph")
    this.state.launch(stream.state)
  }

  /**
   * Captures again and takes the result in place of what was captured before, for other scalars and arrays. Where the
   * shape is the same, the executable graph is changed in place, which costs less than making one.
   *
   * @returns was it changed in place? A promise of that if the function is async
   */
  update<R extends T | PromiseLike<T>>(fn: () => R): Join<[R], boolean, boolean>
  update(fn: () => unknown): boolean | Promise<boolean> {
    this.#checkUsable()
    checkFunction(fn, "fn")
    return captureOn(
      this.device,
      fn,
      () => (this.state.disposed ? undefined : this.state.handle),
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
    this.#result = result as T // The overloads say what the function returns.
    return inPlace
  }

  /** Gives everything back once the last launch is done. The arrays of the result end with it. */
  dispose(): void {
    this.device.disposeGraph(this.state)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

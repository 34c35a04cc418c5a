import type { ConditionalKind, DriverGraphs } from "../../driver/graphs.js"
import type { GraphHandle, KernelHandle, NodeHandle, StreamHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import type { ControlMemory } from "../control/control.js"
import type { Queues } from "../queue/queues.js"
import type { StreamTable } from "../queue/stream-table.js"
import type { Waits } from "../queue/waits.js"
import type { KernelTable } from "../threads/kernel-table.js"
import type { Captures } from "./captures.js"
import { chainOf } from "./chain.js"
import { captureLaunch } from "./child-graph.js"
import type { GraphTable } from "./graph.js"
import type { GraphLauncher } from "./graph-launch.js"
import type { GraphNodes } from "./nodes.js"

/** What {@link HostGraphs} is made of. */
export interface GraphParts {
  readonly table: GraphTable
  readonly captures: Captures
  readonly launcher: GraphLauncher
  readonly nodes: GraphNodes
  readonly queues: Queues
  readonly streams: StreamTable
  readonly waits: Waits
  readonly kernels: KernelTable
  readonly control: ControlMemory
}

/** The captures and graphs of the host device. */
export class HostGraphs implements DriverGraphs {
  readonly #table: GraphTable
  readonly #captures: Captures
  readonly #launcher: GraphLauncher
  readonly #nodes: GraphNodes
  readonly #queues: Queues
  readonly #streams: StreamTable
  readonly #waits: Waits
  readonly #kernels: KernelTable
  readonly #control: ControlMemory

  constructor({ table, captures, launcher, nodes, queues, streams, waits, kernels, control }: GraphParts) {
    this.#table = table
    this.#captures = captures
    this.#launcher = launcher
    this.#nodes = nodes
    this.#queues = queues
    this.#streams = streams
    this.#waits = waits
    this.#kernels = kernels
    this.#control = control
  }

  beginCapture(stream: StreamHandle): void {
    this.#captures.begin(this.#queues.usable(stream))
  }

  endCapture(
    stream: StreamHandle,
    update: GraphHandle | undefined,
    _keepsPriorities?: boolean,
    isChained = false,
  ): GraphHandle {
    const capture = this.#captures.end(this.#queues.get(stream))
    try {
      this.#queues.check()
      const chain = isChained ? chainOf(capture.branches) : undefined
      const sources = chain === undefined ? capture.branches : [chain.source]
      if (update !== undefined && this.#table.update(update, sources, chain?.places)) return update
      return this.#table.create(sources, chain?.places)
    } finally {
      capture.clear()
    }
  }

  chain(graph: GraphHandle): GraphHandle {
    this.#queues.check()
    return this.#table.chain(graph)
  }

  cancelCapture(stream: StreamHandle): void {
    this.#captures.cancel(this.#queues.get(stream))
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void {
    this.#captures.beginConditional(kind, condition, this.#queues.usable(stream), this.#queues.usable(body))
  }

  endConditional(body: StreamHandle): void {
    this.#captures.endConditional(this.#queues.get(body))
  }

  cancelConditional(body: StreamHandle): void {
    this.#captures.cancel(this.#queues.get(body))
  }

  orderBehindLaunch(graph: GraphHandle, stream: StreamHandle): void {
    this.#queues.check()
    const { lastLaunch, lastStream } = this.#table.get(graph)
    if (lastLaunch !== undefined && lastStream !== undefined) {
      this.#waits.waitForPosition(this.#queues.get(stream), lastStream, lastLaunch.position)
    }
  }

  launch(graph: GraphHandle, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    const launched = this.#table.get(graph)
    if (target.branch === undefined) this.#launcher.launch(launched, target)
    else captureLaunch(launched, this.#control.words, target.branch)
  }

  capturedCount(stream: StreamHandle): number {
    return this.#queues.get(stream).branch?.list.count ?? 0
  }

  capturedNode(stream: StreamHandle): NodeHandle {
    return this.#nodes.lastOf(this.#queues.get(stream))
  }

  makeChangeable(graph: GraphHandle): GraphHandle {
    return graph
  }

  setNodeArguments(
    graph: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    this.#queues.check()
    this.#nodes.setArguments(this.#table.get(graph), node, this.#kernels.get(kernel), args, structs)
  }

  setNodeEnabled(graph: GraphHandle, node: NodeHandle, enabled: boolean): void {
    this.#queues.check()
    this.#nodes.setEnabled(this.#table.get(graph), node, enabled)
  }

  destroy(graph: GraphHandle): void {
    for (const stream of this.#table.destroy(graph)) if (stream !== undefined) this.#streams.destroy(stream.handle)
  }
}

/**
 * Changes single operations of graphs. Commands keep their places and lengths, and queued launches keep the commands that
 * they name. A node's handle holds the operation's branch and its position there.
 */
import type { NodeHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { nodeAt } from "./chain.js"
import type { Commands } from "../queue/commands.js"
import { MOST_BRANCHES } from "../queue/branch.js"
import type { ControlMemory } from "../control/control.js"
import type { GraphTable, HostGraph } from "./graph.js"
import { KIND_MASK, NOTHING } from "../control/layout.js"
import type { HostStream } from "../queue/stream.js"

type Kernel = Parameters<Commands["launch"]>[1]

/** The nodes of one device's graphs. */
export class GraphNodes {
  readonly #graphs: Pick<GraphTable, "change">
  readonly #control: Pick<ControlMemory, "words">
  readonly #commands: Pick<Commands, "rewriteArguments">

  constructor(
    graphs: Pick<GraphTable, "change">,
    control: Pick<ControlMemory, "words">,
    commands: Pick<Commands, "rewriteArguments">,
  ) {
    this.#graphs = graphs
    this.#control = control
    this.#commands = commands
  }

  /** The operation captured last on a stream. */
  lastOf({ branch, handle }: HostStream): NodeHandle {
    if (branch === undefined) throw new RangeError(`Stream ${handle} is not being captured.`)
    return nodeAt(branch.index, branch.count - 1)
  }

  setArguments(
    graph: HostGraph,
    node: NodeHandle,
    kernel: Kernel,
    args: readonly KernelArgument[],
    structs: Uint8Array | undefined,
  ): void {
    this.#change(graph, node, (at) => this.#commands.rewriteArguments(at, kernel, args, structs))
  }

  setEnabled(graph: HostGraph, node: NodeHandle, enabled: boolean): void {
    this.#change(graph, node, (at, header) => {
      this.#control.words[at] = enabled ? header : (header & ~KIND_MASK) | NOTHING
    })
  }

  #change(graph: HostGraph, node: NodeHandle, change: (at: number, header: number) => void): void {
    const position = graph.places?.get(node)
    if (position !== undefined) return this.#graphs.change(graph, 0, position, change)
    this.#graphs.change(graph, node % MOST_BRANCHES, Math.floor(node / MOST_BRANCHES), change)
  }
}

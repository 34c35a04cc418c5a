import type { GraphHandle, StreamHandle } from "../../driver/handles.js"
import type { BranchBlock } from "../graph/branch-block.js"
import type { HostGraph } from "../graph/graph.js"
import { type GraphParts, HostGraphs } from "../graph/graphs.js"
import { TIME_WORDS, wordAt } from "../control/layout.js"
import { SITE } from "../checked-kernel/check-words.js"
import { checkedBranch } from "./checked-branch.js"
import type { CheckSession } from "./check-session.js"

/** A graph with checks around its launches, which is launched in place of another. */
interface Copy {
  readonly handle: GraphHandle
  readonly graph: HostGraph
  /** The version of the other graph that it was made from. */
  readonly version: number
  /** What the kernels use besides their arguments. */
  readonly uses: string
  /** For each branch, where its launches have their own words. */
  readonly checks: readonly (readonly number[])[]
}

/**
 * The graphs of the host device while launches are checked. A graph's own commands never change: a checked copy of it is
 * launched instead, so graphs that were captured earlier are checked, too.
 */
export class CheckedGraphs extends HostGraphs {
  readonly #parts: GraphParts
  readonly #session: CheckSession
  readonly #copies = new Map<HostGraph, Copy>()

  constructor(parts: GraphParts, session: CheckSession) {
    super(parts)
    this.#parts = parts
    this.#session = session
  }

  override launch(handle: GraphHandle, stream: StreamHandle): void {
    const description = this.#session.take()
    const { queues, table, launcher } = this.#parts
    const target = queues.usable(stream)
    if (target.branch !== undefined) return super.launch(handle, stream)
    const graph = table.get(handle)
    const copy = this.#copyOf(graph, description)
    this.#setSite(copy, this.#session.siteOf(description))
    launcher.launch(copy.graph, target)
    graph.lastLaunch = copy.graph.lastLaunch ?? graph.lastLaunch
    graph.lastStream = copy.graph.lastStream ?? graph.lastStream
  }

  override destroy(handle: GraphHandle): void {
    this.#drop(this.#parts.table.get(handle))
    super.destroy(handle)
  }

  /** The checks have ended. */
  end(): void {
    for (const graph of [...this.#copies.keys()]) this.#drop(graph)
  }

  #drop(graph: HostGraph): void {
    const copy = this.#copies.get(graph)
    if (copy === undefined) return
    this.#copies.delete(graph)
    super.destroy(copy.handle)
  }

  #copyOf(graph: HostGraph, description: ReturnType<CheckSession["take"]>): Copy {
    const uses = JSON.stringify(description.ranges)
    const known = this.#copies.get(graph)
    if (known?.version === graph.version && known.uses === uses) return known
    const { control, kernels, table } = this.#parts
    const branches = graph.branches.map((branch) =>
      checkedBranch(control.words, branch, (at) => {
        const checked = kernels.checked(wordAt(control.words, at + 1))
        return { kernel: checked.id, more: this.#session.wordsAt(control.words, at, checked, description) }
      }),
    )
    const handle = table.create(branches)
    const checks = branches.map((branch) => branch.checks)
    const copy = { handle, graph: table.get(handle), version: graph.version, uses, checks }
    this.#drop(graph)
    this.#copies.set(graph, copy)
    return copy
  }

  /** Launches that are queued already get the new call, too. */
  #setSite({ graph, checks }: Copy, site: number): void {
    const { words } = this.#parts.control
    graph.branches.forEach(({ block }: BranchBlock, index) => {
      for (const at of checks[index] ?? []) words[block + TIME_WORDS + at + SITE] = site
    })
  }
}

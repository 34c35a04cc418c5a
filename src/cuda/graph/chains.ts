/**
 * Puts the nodes of a captured graph into one chain, in the order in which they were captured. The dependencies that this
 * takes are in the graph only while something is made from it: they must never stay there, because its other users keep its
 * branches. Dependencies of its own are never removed.
 */
import type { CudaContext } from "../api/context.js"
import { SUCCESS } from "../api/status.js"
import { CMemory } from "../native/c-memory.js"

/** The nodes that a node directly depends on. */
type Edges = ReadonlyMap<number, readonly number[]>

/** The chains of one device's graphs. */
export class Chains {
  readonly #context: CudaContext
  readonly #count = new CMemory(8)

  constructor(context: CudaContext) {
    this.#context = context
  }

  /** Calls a function while the graph's nodes are chained. */
  within<T>(graph: number, fn: () => T): T {
    const added = this.#missingOf(graph)
    const from = handles(added.map(([before]) => before))
    const to = handles(added.map(([, node]) => node))
    const { cuGraphAddDependencies, cuGraphRemoveDependencies } = this.#context.graphCalls
    const status = this.#context.room.for(() => cuGraphAddDependencies(graph, from.address, to.address, added.length))
    this.#context.check(status, "cuGraphAddDependencies")
    try {
      return fn()
    } finally {
      const removed = cuGraphRemoveDependencies(graph, from.address, to.address, added.length)
      // The graph is still correct. It only lost its branches.
      if (removed !== SUCCESS) this.#context.warnOfLeak(removed, "cuGraphRemoveDependencies")
    }
  }

  /** The dependencies that the chain lacks. */
  #missingOf(graph: number): [before: number, node: number][] {
    const edges = this.#edgesOf(graph)
    const [first, ...others] = inOrder(this.#nodesOf(graph), edges)
    let before = first ?? 0
    return others.flatMap((node): [number, number][] => {
      const pair: [number, number] = [before, node]
      before = node
      return edges.get(node)?.includes(pair[0]) === true ? [] : [pair]
    })
  }

  #nodesOf(graph: number): number[] {
    const { cuGraphGetNodes } = this.#context.graphCalls
    const { address } = this.#count
    this.#context.check(cuGraphGetNodes(graph, 0, address), "cuGraphGetNodes")
    const count = this.#count.number(0)
    const nodes = new CMemory(8 * count)
    // The driver refuses a list that has no room for a node.
    if (count > 0) this.#context.check(cuGraphGetNodes(graph, nodes.address, address), "cuGraphGetNodes")
    return listed(nodes, count)
  }

  #edgesOf(graph: number): Edges {
    this.#getEdges(graph, 0, 0, 0)
    const count = this.#count.number(0)
    const from = new CMemory(8 * count)
    const to = new CMemory(8 * count)
    const data = new CMemory(8 * count)
    if (count > 0) this.#getEdges(graph, from.address, to.address, data.address)
    const edges = new Map<number, number[]>()
    const sources = listed(from, count)
    for (const [index, node] of listed(to, count).entries()) {
      const before = edges.get(node) ?? []
      before.push(sources[index] ?? 0)
      edges.set(node, before)
    }
    return edges
  }

  /** Drivers before CUDA 12.3 lack edge data. Later ones refuse the older call for a graph that has some. */
  #getEdges(graph: number, from: number, to: number, data: number): void {
    const { cuGraphGetEdgesWithData } = this.#context.library.newer
    const { address } = this.#count
    const status =
      cuGraphGetEdgesWithData === undefined
        ? this.#context.graphCalls.cuGraphGetEdges(graph, from, to, address)
        : cuGraphGetEdgesWithData(graph, from, to, data, address)
    this.#context.check(status, "cuGraphGetEdges")
  }
}

/** The nodes in the given order, except where a node depends on one that is listed later. */
function inOrder(nodes: readonly number[], edges: Edges): number[] {
  const placed = new Set<number>()
  for (const start of nodes) {
    const open = [start]
    for (let node = open.at(-1); node !== undefined; node = open.at(-1)) {
      const missing = edges.get(node)?.filter((before) => !placed.has(before)) ?? []
      if (missing.length === 0) placed.add(node)
      if (missing.length === 0) open.pop()
      open.push(...missing)
    }
  }
  return [...placed]
}

function handles(nodes: readonly number[]): CMemory {
  const memory = new CMemory(8 * nodes.length)
  nodes.forEach((node, index) => memory.setNumber(8 * index, node))
  return memory
}

function listed(memory: CMemory, count: number): number[] {
  return Array.from({ length: count }, (_, index) => memory.number(8 * index))
}

/**
 * A graph as its launches run it: operations with their edges and fork-joins, those of graphs inside it included. Finds the
 * operation to which each node of a launch belongs.
 */
import type { TimedNode } from "../driver/timeline.js"
import type { GraphOutline, OutlinedOperation, OutlinedRegion } from "../runtime/order/observer/graph-outline.js"
import { operationsByNumber } from "./node-numbers.js"

/** Milliseconds by which a node may seem to begin before those that it runs after. */
const TOLERANCE = 0.001

/** An operation of a graph, with indices in {@link LaunchedGraph}. */
export interface GraphOperation {
  readonly label: string
  readonly isLaunch: boolean
  /** The places of its nodes: from this one to before `until`. */
  readonly from: number
  readonly until: number
  /** Whether it has a graph inside whose nodes the driver does not count as its own. */
  readonly hasGraph: boolean
  readonly after: readonly number[]
  readonly region: number | undefined
  readonly branch: number | undefined
}

/** A fork-join in a graph, with indices in {@link LaunchedGraph}. */
export interface GraphRegion extends Omit<OutlinedRegion, "beside"> {
  readonly beside: readonly number[]
}

/** The place of a graph inside another one. */
interface Around {
  readonly from: number
  readonly after: readonly number[]
  readonly region: number | undefined
  readonly branch: number | undefined
}

/** The operations of the nodes of a launch, if a graph of the launch is the launched one. */
interface Match {
  readonly found: (number | undefined)[]
  readonly alike: number
}

const OUTSIDE: Around = { from: 0, after: [], region: undefined, branch: undefined }

export class LaunchedGraph {
  readonly operations: GraphOperation[] = []
  readonly regions: GraphRegion[] = []
  /** Whether the driver has counted the nodes of all operations. */
  readonly isKnown: boolean
  /** Whether there are graphs inside that the driver counts as one node. Without them, a node of the launched graph is first. */
  #hasGraphs = false
  /** Whether there are such graphs, or bodies of conditionals. */
  readonly #hasInside: boolean

  constructor(outline: GraphOutline) {
    this.isKnown = outline.operations.every(({ until }) => until !== undefined)
    if (this.isKnown) this.#add(outline, OUTSIDE)
    this.#hasInside = this.operations.some(({ hasGraph }) => hasGraph)
  }

  /**
   * The operations of the nodes of one launch, undefined for nodes of graphs inside; undefined if it is not known which nodes are
   * the launched graph's own, or if they contradict the captured graph. Then the driver has placed the nodes otherwise
   * than is assumed, and nothing must be said of them.
   *
   * @param isOneClock whether the times of all nodes are from one clock, so that they must agree with the edges
   */
  match(nodes: readonly TimedNode[], isOneClock: boolean): (number | undefined)[] | undefined {
    if (!this.isKnown) return undefined
    const placed = nodes.filter(({ place }) => place !== undefined)
    if (placed.length === 0) return nodes.map(() => undefined)
    const graphs = this.#hasGraphs ? new Set(placed.map(({ graph }) => graph)) : [earliest(placed).graph]
    const matches = Array.from(graphs, (graph) => this.#matchIn(graph, nodes, isOneClock)).filter(
      (match) => match !== undefined,
    )
    const most = Math.max(...matches.map(({ alike }) => alike))
    const best = matches.filter(({ alike }) => alike === most)
    return best.length === 1 ? best[0]?.found : undefined
  }

  /** The same, if this is the number of the launched graph. `alike`: how many kernels have the name of their operation. */
  #matchIn(graph: number, nodes: readonly TimedNode[], isOneClock: boolean): Match | undefined {
    const own = nodes.filter((node) => node.graph === graph)
    const numbers = operationsByNumber(
      this.operations,
      new Map(own.flatMap(({ place, name }) => (place === undefined ? [] : [[place, name]]))),
    )
    const unknown = this.#hasInside ? undefined : -1
    const found = nodes.map((node) =>
      node.graph !== graph || node.place === undefined ? undefined : (numbers.get(node.place) ?? unknown),
    )
    const names = new Map<string, string>()
    const ends = new Map<number, number>()
    let alike = 0
    for (const [index, node] of nodes.entries()) {
      const operation = this.operations[found[index] ?? 0]
      if (found[index] === undefined) continue
      if (operation === undefined || !agrees(operation, node, names)) return undefined
      if (operation.isLaunch && operation.label === node.name) alike++
      ends.set(found[index], Math.max(ends.get(found[index]) ?? 0, node.end))
    }
    const isInOrder = !isOneClock || nodes.every((node, index) => this.#isInOrder(found[index], node, ends))
    return isInOrder ? { found, alike } : undefined
  }

  /** The operations before this one that ran, through those that did not, such as disabled ones. */
  before(operation: number, hasRun: (operation: number) => boolean): Set<number> {
    const found = new Set<number>()
    const seen = new Set(this.operations[operation]?.after)
    for (const one of seen) {
      if (hasRun(one)) found.add(one)
      else for (const earlier of this.operations[one]?.after ?? []) seen.add(earlier)
    }
    return found
  }

  #isInOrder(operation: number | undefined, { start }: TimedNode, ends: ReadonlyMap<number, number>): boolean {
    if (operation === undefined) return true
    const before = this.operations[operation]?.after ?? []
    return before.every((one) => (ends.get(one) ?? 0) <= start + TOLERANCE)
  }

  /** @returns the operations after which everything in the graph is over */
  #add({ operations, regions }: GraphOutline, around: Around): number[] {
    const firstRegion = this.regions.length
    /** For each operation of the outline, those here after which it is over. */
    const ends: number[][] = []
    const besides = regions.map((): number[] => [])
    for (const region of regions)
      this.regions.push(moved(region, firstRegion, around, besides[this.regions.length - firstRegion] ?? []))
    let from = around.from
    for (const [index, operation] of operations.entries()) {
      const first = this.operations.length
      const until = around.from + (operation.until ?? 0)
      const after = operation.after.length === 0 ? around.after : operation.after.flatMap((one) => ends[one] ?? [])
      const place = regionOf(operation, firstRegion, around)
      ends.push(this.#addOne(operation, { from, after, ...place }, until))
      regions.forEach(({ beside }, region) => {
        if (!beside.includes(index)) return
        for (let one = first; one < this.operations.length; one++) besides[region]?.push(one)
      })
      from = until
    }
    const followed = new Set(operations.flatMap(({ after }) => after))
    return ends.flatMap((own, index) => (followed.has(index) ? [] : own))
  }

  #addOne({ kind, label, part }: OutlinedOperation, around: Around, until: number): number[] {
    const { from } = around
    const count = part?.operations.at(-1)?.until
    // A driver may count a graph as one node. Then nothing is known of the nodes inside.
    if (part !== undefined && kind === "graph" && count === until - from) return this.#add(part, around)
    if (kind === "graph") this.#hasGraphs = true
    this.operations.push({ label, isLaunch: kind === "launch", until, hasGraph: part !== undefined, ...around })
    return [this.operations.length - 1]
  }
}

function agrees({ isLaunch, label }: GraphOperation, { kind, name }: TimedNode, names: Map<string, string>): boolean {
  if (!isLaunch) return true
  const known = names.get(label)
  names.set(label, name)
  return kind === "kernel" && (known === undefined || known === name)
}

function earliest(nodes: readonly TimedNode[]): TimedNode {
  return nodes.reduce((first, node) => (node.start < first.start ? node : first))
}

/** Where an operation is among the fork-joins. */
function regionOf(
  { region, branch }: OutlinedOperation,
  first: number,
  around: Around,
): Pick<Around, "region" | "branch"> {
  return region === undefined ? { region: around.region, branch: around.branch } : { region: first + region, branch }
}

function moved(region: OutlinedRegion, first: number, around: Around, beside: readonly number[]): GraphRegion {
  const { parent } = region
  if (parent === undefined) return { ...region, parent: around.region, branch: around.branch, beside }
  return { ...region, parent: first + parent, beside }
}

import type { Dependency } from "../order/capture.js"
import type { GraphOutline } from "../order/observer/graph-outline.js"
import type { Access, Operation, OperationKind, OperationPlan, PlannedOperation } from "../order/observer/operation.js"
import type { StreamState } from "../order/stream-state.js"
import { PlannedRegions } from "./planned-regions.js"

/** The operations of a graph, in call order, with their edges. */
export class GraphPlan implements OperationPlan {
  readonly nodes: PlannedOperation[] = []
  readonly streams: string[] = []
  readonly parts = new Map<number, GraphPlan>()
  /** The kernels of the nodes that launch one. */
  readonly kernels = new Map<number, object>()
  readonly regions = new PlannedRegions()
  /** How many nodes the driver had captured after each of these; a hole where that is not known. */
  readonly #counts: number[] = []
  readonly #places = new Map<number, number>()
  #outline: GraphOutline | undefined
  #isResident = false

  get isResident(): boolean {
    return this.#isResident
  }

  /** @returns the new node's index */
  add(operation: Operation, after: readonly Dependency[]): number {
    const { kind, label, stream, accesses, isResident } = operation
    const place = this.#placeOf(stream)
    const index = this.nodes.length
    const region = this.regions.place(operation, index)
    this.nodes.push({ kind, label, stream: place, after: after.map(({ node }) => node), accesses, ...region })
    this.#outline = undefined
    if (isResident) this.#isResident = true
    return index
  }

  /** Notes how many nodes the driver has captured now that this one is added. */
  noteCount(place: number, count: number): void {
    this.#counts[place] = count
  }

  /** Adds the operations inside the node added last, as they are now. @returns the node's index */
  include(part: GraphPlan): number {
    const place = this.nodes.length - 1
    this.parts.set(place, part.#copy())
    if (part.isResident) this.#isResident = true
    this.#outline = undefined
    return place
  }

  get outline(): GraphOutline {
    this.#outline ??= {
      operations: this.nodes.map(({ kind, label, after, region, branch }, index) => {
        const [until, part] = [this.#counts[index], this.parts.get(index)?.outline]
        return { kind, label, after, region, branch, until, part }
      }),
      regions: this.regions.list,
    }
    return this.#outline
  }

  #copy(): GraphPlan {
    const copy = new GraphPlan()
    copy.#isResident = this.#isResident
    copy.nodes.push(...this.nodes)
    copy.#counts.push(...this.#counts)
    copy.regions.list.push(...this.regions.list)
    copy.streams.push(...this.streams)
    for (const [place, part] of this.parts) copy.parts.set(place, part)
    for (const [place, kernel] of this.kernels) copy.kernels.set(place, kernel)
    return copy
  }

  /** Notes the kernel of the node added last. */
  noteKernel(kernel: object): void {
    this.kernels.set(this.nodes.length - 1, kernel)
  }

  /** Drops the references to kernels. */
  releaseKernels(): void {
    this.kernels.clear()
    for (const part of this.parts.values()) part.releaseKernels()
  }

  at(place: number): PlannedOperation {
    const node = this.nodes[place]
    if (node === undefined) throw new RangeError(`There is no node ${place}.`)
    return node
  }

  /** Replaces the accesses of a node. */
  setAccesses(place: number, accesses: readonly Access[]): void {
    this.nodes[place] = { ...this.at(place), accesses }
  }

  /** Whether a node runs after another one. */
  isBehind(place: number, other: number): boolean {
    const seen = new Set([place])
    for (const node of seen) for (const before of this.nodes[node]?.after ?? []) seen.add(before)
    return place !== other && seen.has(other)
  }

  /** The accesses of all nodes, including operations inside nodes. Of equal accesses only the first. */
  accesses(): Access[] {
    const known = new Map<string, Access>()
    const memories = new Map<object, number>()
    for (const access of this.#everyAccess()) {
      const { memory, address, width, pitch, rows, mode } = access
      // Two arrays that wrap the same bytes are two accesses, because the library orders only one of them.
      const number = memories.get(memory) ?? memories.size
      memories.set(memory, number)
      const key = `${number} ${address} ${width} ${pitch} ${rows} ${mode}`
      if (!known.has(key)) known.set(key, access)
    }
    return [...known.values()]
  }

  *#everyAccess(): Generator<Access> {
    for (const [place, { accesses }] of this.nodes.entries()) {
      yield* accesses
      const part = this.parts.get(place)
      if (part !== undefined) yield* part.#everyAccess()
    }
  }

  #placeOf({ slot, name }: StreamState): number {
    const known = this.#places.get(slot)
    if (known !== undefined) return known
    this.#places.set(slot, this.streams.length)
    return this.streams.push(name) - 1
  }

  /**
   * Whether it makes a difference if the operations run one after another, and whether that is possible. Work of another
   * library may have branches of its own.
   */
  get isChainable(): boolean {
    return !this.#has("conditional") && (this.streams.length > 1 || this.parts.size > 0 || this.#has("external"))
  }

  #has(kind: OperationKind): boolean {
    if (this.nodes.some((node) => node.kind === kind)) return true
    for (const part of this.parts.values()) if (part.#has(kind)) return true
    return false
  }

  /** The pairs of a node and one that runs directly after it. */
  get edges(): [from: number, to: number][] {
    return this.nodes.flatMap((node, to) => node.after.map((from): [number, number] => [from, to]))
  }

  /** The graph in Graphviz's language, with a cluster for each stream and for the operations inside a node. */
  toDot(): string {
    const arrowsToClusters = this.parts.size > 0 ? ["  compound=true"] : []
    return ["digraph {", ...arrowsToClusters, ...this.#lines("").map((line) => `  ${line}`), "}", ""].join("\n")
  }

  /** The prefix of a node's name is the index of the node that contains it. */
  #lines(prefix: string): string[] {
    const members: string[][] = this.streams.map(() => [])
    for (const [index, { stream, label }] of this.nodes.entries()) {
      members[stream]?.push(`n${prefix}${index} [label=${quote(label)}]`)
    }
    const clusters = this.streams.flatMap((stream, place) => cluster(`${prefix}${place}`, stream, members[place] ?? []))
    const parts = [...this.parts].flatMap(([index, part]) => {
      const name = `n${prefix}${index}`
      const whole = cluster(name, this.nodes[index]?.label ?? "", part.#lines(`${prefix}${index}_`))
      return part.nodes.length === 0
        ? whole
        : [...whole, `${name} -> ${name}_0 [style=dashed, lhead=${quote(`cluster_${name}`)}]`]
    })
    const edges = this.edges.map(([from, to]) => `n${prefix}${from} -> n${prefix}${to}`)
    return [...clusters, ...parts, ...edges]
  }
}

function cluster(name: string, label: string, lines: readonly string[]): string[] {
  return [`subgraph cluster_${name} {`, `  label=${quote(label)}`, ...lines.map((line) => `  ${line}`), "}"]
}

function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
}

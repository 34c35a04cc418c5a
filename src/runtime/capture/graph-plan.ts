import type { Dependency } from "../order/capture.js"
import type { StreamState } from "../order/stream-state.js"

/** One operation of a graph. */
export interface GraphNode {
  /** The kernel's name, or what the operation is: `"copy"`, `"fill"`, `"external"`. */
  readonly label: string
  /** The stream that it was captured on, by its place in the list of streams. */
  readonly stream: number
  /** The nodes that it runs directly after, by their places in the list of nodes. */
  readonly after: readonly number[]
}

/** What a graph consists of, in the order of the calls that were captured. */
export class GraphPlan {
  readonly nodes: GraphNode[] = []
  /** The names of the streams that have nodes. */
  readonly streams: string[] = []
  /** What a node consists of itself, by the node's place: a graph that was launched inside, a conditional's body. */
  readonly parts = new Map<number, GraphPlan>()
  readonly #places = new Map<number, number>()

  /** @returns the new node's place in the list */
  add(label: string, stream: StreamState, after: readonly Dependency[]): number {
    this.nodes.push({ label, stream: this.#placeOf(stream), after: after.map(({ node }) => node) })
    return this.nodes.length - 1
  }

  /** The node added last consists of this. */
  include(part: GraphPlan): void {
    this.parts.set(this.nodes.length - 1, part)
  }

  #placeOf({ slot, name }: StreamState): number {
    const known = this.#places.get(slot)
    if (known !== undefined) return known
    this.#places.set(slot, this.streams.length)
    return this.streams.push(name) - 1
  }

  /** The pairs of a node and one that runs directly after it. */
  get edges(): [from: number, to: number][] {
    return this.nodes.flatMap((node, to) => node.after.map((from): [number, number] => [from, to]))
  }

  /** The graph in Graphviz's language: a cluster for each stream, and for what a node consists of itself. */
  toDot(): string {
    const arrowsToClusters = this.parts.size > 0 ? ["  compound=true"] : []
    return ["digraph {", ...arrowsToClusters, ...this.#lines("").map((line) => `  ${line}`), "}", ""].join("\n")
  }

  /** Nodes are called by the place of what they are part of, and their own. */
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

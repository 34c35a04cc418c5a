import type { StreamState } from "./stream-state.js"

/** One operation of a graph. */
export interface GraphNode {
  /** The kernel's name, or what the operation is: `"copy"`, `"fill"`, `"external"`. */
  readonly label: string
  /** The stream that it was captured on, by its place in the list of streams. */
  readonly stream: number
  /** The nodes that it runs directly after, by their places in the list of nodes. */
  readonly after: readonly number[]
}

/** A node that the next one on a stream comes directly after, and when it was counted. */
export interface Tip {
  readonly node: number
  readonly slot: number
  readonly tick: number
}

/** What a graph consists of, in the order of the calls that were captured. */
export class GraphPlan {
  readonly nodes: GraphNode[] = []
  /** The names of the streams that have nodes. */
  readonly streams: string[] = []
  readonly #places = new Map<number, number>()

  /** @returns the new node's place in the list */
  add(label: string, stream: StreamState, after: readonly Tip[]): number {
    this.nodes.push({ label, stream: this.#placeOf(stream), after: after.map(({ node }) => node) })
    return this.nodes.length - 1
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

  /** The graph in Graphviz's language: a cluster for each stream. */
  toDot(): string {
    const members = this.streams.map((): string[] => [])
    this.nodes.forEach(({ label, stream }, index) => {
      members[stream]?.push(`    n${index} [label=${quote(label)}]`)
    })
    const clusters = this.streams.flatMap((stream, place) => [
      `  subgraph cluster_${place} {`,
      `    label=${quote(stream)}`,
      ...(members[place] ?? []),
      "  }",
    ])
    const edges = this.edges.map(([from, to]) => `  n${from} -> n${to}`)
    return ["digraph {", ...clusters, ...edges, "}", ""].join("\n")
  }
}

function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
}

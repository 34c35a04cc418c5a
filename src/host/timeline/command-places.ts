/**
 * The places in the order of capture of a graph's commands, by their addresses. They must be found at the launch: later the graph may
 * have other commands, and its memory may hold other things.
 */
import { INSIDE, TIME_WORDS } from "../control/layout.js"
import type { FlatBlock } from "../graph/flat-block.js"
import type { BranchBlock } from "../graph/branch-block.js"
import type { HostGraph } from "../graph/graph.js"
import { forEachCommand } from "../queue/sequence.js"

/** The place of the command at each address. A command in a conditional has the place of the conditional. */
export type CommandPlaces = ReadonlyMap<number, number>

interface Known {
  readonly branches: readonly BranchBlock[]
  readonly flat: FlatBlock | undefined
  readonly places: CommandPlaces
}

/** Finds places, once for each form of a graph. */
export class PlacesOfGraphs {
  readonly #known = new WeakMap<HostGraph, Known>()

  /** @param words the control memory */
  of(graph: HostGraph, words: Int32Array): CommandPlaces {
    const { branches, flat } = graph
    const known = this.#known.get(graph)
    if (known?.branches === branches && known.flat === flat) return known.places
    const places = placesOf(branches, flat, words)
    this.#known.set(graph, { branches, flat, places })
    return places
  }
}

function placesOf(branches: readonly BranchBlock[], flat: FlatBlock | undefined, words: Int32Array): CommandPlaces {
  const places = new Map<number, number>()
  for (const branch of branches) {
    let count = 0
    const range = { words, start: branch.block + TIME_WORDS, end: branch.block + branch.length }
    forEachCommand(range, (at, header) => {
      places.set(at, branch.calls[count] ?? 0)
      if ((header & INSIDE) === 0) count++
    })
  }
  for (const { start, end, at } of flat?.pieces ?? []) {
    forEachCommand({ words, start, end }, (from) => places.set(at + from - start, places.get(from) ?? 0))
  }
  return places
}

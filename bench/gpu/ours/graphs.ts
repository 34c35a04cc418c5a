/** Graphs, where this version of auxstream has them. */

import * as auxstream from "auxstream"
import type { Stream } from "auxstream"

interface Graph {
  launch(stream?: Stream): void
}

/** Why rows that need graphs are left out. */
export const noGraphs = "auxstream has no captureGraph yet"

const found: unknown = Reflect.get(auxstream, "captureGraph")

/** Everything that `queue` queues as one graph, which the returned function launches. Undefined without graphs. */
export function captured(queue: () => void): (() => void) | undefined {
  if (typeof found !== "function") return undefined
  queue() // Compiles, and makes what is made once.
  const graph = Reflect.apply(found, undefined, [queue]) as Graph
  return () => graph.launch()
}

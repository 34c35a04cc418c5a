/**
 * How a driver may number the nodes of a graph in which there are others: it gives the nodes inside numbers of their own graph, or
 * numbers behind all others, or numbers directly behind the operation that has them.
 */
import type { OutlinedOperation } from "../runtime/order/observer/graph-outline.js"

/** An operation with the places of its own nodes, and how many nodes there are in the graph inside it. */
export interface NumberedOperation {
  readonly from: number
  readonly until: number
  readonly inside: number
}

export class NodeNumbers {
  readonly #froms: number[] = []
  readonly #untils: number[] = []
  readonly #hasGraphs: boolean

  /** @param isBetween whether nodes inside have numbers directly behind their operation */
  constructor(operations: readonly NumberedOperation[], isBetween: boolean) {
    let shift = 0
    for (const { from, until, inside } of operations) {
      this.#froms.push(from + shift)
      this.#untils.push(until + shift)
      if (isBetween) shift += inside
    }
    this.#hasGraphs = operations.some(({ inside }) => inside > 0)
  }

  /** The index of the operation that has a node; undefined if it may be one inside, -1 if there is none. */
  operationAt(place: number): number | undefined {
    let low = 0
    let high = this.#untils.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#untils[middle] ?? 0) <= place) low = middle + 1
      else high = middle
    }
    if (low < this.#untils.length && (this.#froms[low] ?? 0) <= place) return low
    return this.#hasGraphs ? undefined : -1
  }
}

/** How many nodes a graph inside has. A loop's body ends with one that evaluates the condition. */
export function nodesInside({ kind, label, part }: OutlinedOperation): number {
  if (part === undefined) return 0
  const own = part.operations.at(-1)?.until ?? part.operations.length
  const further = part.operations.reduce((sum, operation) => sum + nodesInside(operation), 0)
  return own + further + Number(kind === "conditional" && label === "while")
}

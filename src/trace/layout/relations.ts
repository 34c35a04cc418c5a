/**
 * What belongs to an operation: those before and after it on its stream, the operations that it waited for and those that waited
 * for it. A wait relates the last operation before the record to the first one after the wait.
 */

import type { TraceData } from "../data/data.js"

export interface Relations {
  /** The operations before and after it on its stream. Nodes have those of the same stream inside the same graph. */
  readonly before?: number
  readonly after?: number
  /** Indices of waits; each has an operation at its other end. */
  readonly waitedFor: readonly number[]
  readonly waitedBy: readonly number[]
}

/** The operations at the two ends of a wait; undefined if there is none. */
export interface WaitEnds {
  readonly from?: number
  readonly to?: number
}

export class RelationIndex {
  /** For each wait, its two operations. */
  readonly waitEnds: readonly WaitEnds[]
  readonly #data: TraceData
  /** For each stream, its operations in the order of their beginnings; of graphs, not their nodes. */
  readonly #operations: readonly number[][]
  readonly #into = new Map<number, number[]>()
  readonly #outOf = new Map<number, number[]>()
  /** For each node, its neighbours on its stream. */
  readonly #nodes: ReadonlyMap<number, { before?: number; after?: number }>

  constructor(data: TraceData) {
    this.#data = data
    this.#operations = data.streams.map(() => [])
    data.spans.forEach((span, index) => {
      if (span.parent === undefined) this.#operations[span.stream]?.push(index)
    })
    for (const operations of this.#operations) operations.sort((a, b) => this.#startOf(a) - this.#startOf(b))
    this.#nodes = this.#neighboursOfNodes()
    this.waitEnds = data.waits.map(({ from, to }, wait) => {
      const source = this.#operations[from.stream]?.[this.#position(from.stream, from.time) - 1]
      const target = this.#operations[to.stream]?.[this.#position(to.stream, Math.max(from.time, to.time))]
      if (source !== undefined) push(this.#outOf, source, wait)
      if (target !== undefined) push(this.#into, target, wait)
      return { ...(source !== undefined && { from: source }), ...(target !== undefined && { to: target }) }
    })
  }

  /** What belongs to an operation. */
  of(index: number): Relations {
    const span = this.#data.spans[index]
    const waits = { waitedFor: this.#into.get(index) ?? [], waitedBy: this.#outOf.get(index) ?? [] }
    if (span === undefined) return waits
    if (span.parent !== undefined) return { ...waits, ...this.#nodes.get(index) }
    const operations = this.#operations[span.stream] ?? []
    let place = this.#position(span.stream, span.start)
    while (operations[place] !== index && place < operations.length) place++
    return { ...waits, ...neighbours(operations, place) }
  }

  #neighboursOfNodes(): Map<number, { before?: number; after?: number }> {
    const chains = new Map<string, number[]>()
    this.#data.spans.forEach(({ parent, stream, kind }, index) => {
      if (parent !== undefined && kind !== "conditional") push(chains, `${parent} ${stream}`, index)
    })
    const found = new Map<number, { before?: number; after?: number }>()
    for (const chain of chains.values()) {
      chain.sort((a, b) => this.#startOf(a) - this.#startOf(b))
      chain.forEach((index, place) => found.set(index, neighbours(chain, place)))
    }
    return found
  }

  /** How many operations of a stream begin before a time. */
  #position(stream: number, time: number): number {
    const operations = this.#operations[stream] ?? []
    let [low, high] = [0, operations.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#startOf(operations[middle] ?? 0) < time) low = middle + 1
      else high = middle
    }
    return low
  }

  #startOf(index: number): number {
    return this.#data.spans[index]?.start ?? 0
  }
}

function neighbours(chain: readonly number[], place: number): { before?: number; after?: number } {
  const [before, after] = [chain[place - 1], chain[place + 1]]
  return { ...(before !== undefined && { before }), ...(after !== undefined && { after }) }
}

function push<Key>(lists: Map<Key, number[]>, key: Key, value: number): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

/**
 * When each operation could have started: when the host had queued it, the previous operation of its stream was over, and the
 * records that its stream waited for were reached. A node of a graph must also wait for the launch to begin. Where a graph's edges
 * are unknown, a node counts as ready once the last node before it has ended.
 */
import type { TraceData, TraceWait } from "../data/data.js"
import { groupBy, type Leaf, median } from "./leaves.js"

/** What an operation waited for. */
export interface Readiness {
  /** When the host had queued it. */
  readonly queued: number
  /** The operation of its own stream, or in a graph the node, that ended last before it started. */
  readonly previous: Leaf | undefined
  /** The latest record that its stream waited for since then, and the operation that ended last before that record. */
  readonly waited: { readonly time: number; readonly leaf: Leaf | undefined } | undefined
  /** The latest of these three, at most its start. */
  readonly ready: number
}

export class Readinesses {
  /** The usual time between ready and started. Longer times are unexplained. */
  readonly latency: number
  readonly #byLeaf = new Map<Leaf, Readiness>()

  constructor({ waits, spans }: Pick<TraceData, "waits" | "spans">, leaves: readonly Leaf[]) {
    const onStream = groupBy(leaves, ({ stream }) => stream)
    const waitsOn = groupBy(waits, ({ to }) => to.stream)
    const ends = new Map([...onStream].map(([stream, own]) => [stream, own.toSorted((a, b) => a.end - b.end)]))
    const nodes = groupBy(
      leaves.filter((leaf) => hasUnknownEdges(leaf)),
      ({ parent }) => parent,
    )
    const find = (wait: TraceWait) => lastBefore(ends.get(wait.from.stream) ?? [], wait.from.time)
    for (const [stream, own] of onStream) {
      const ownWaits = (waitsOn.get(stream) ?? []).toSorted((a, b) => a.to.time - b.to.time)
      this.#addStream(own, ownWaits, find, (launch) => spans[launch]?.start ?? 0)
    }
    for (const launch of nodes.values()) this.#addNodes(launch)
    const delays = Array.from(this.#byLeaf, ([{ start }, { ready }]) => start - ready)
    this.latency = Math.max(20_000, 4 * median(delays))
  }

  of(leaf: Leaf): Readiness {
    return this.#byLeaf.get(leaf) ?? { queued: leaf.queued, previous: undefined, waited: undefined, ready: leaf.start }
  }

  /** Adds the operations of one stream, in their order. */
  #addStream(
    own: readonly Leaf[],
    waits: readonly TraceWait[],
    find: (wait: TraceWait) => Leaf | undefined,
    startOf: (launch: number) => number,
  ): void {
    let previous: Leaf | undefined
    let next = 0
    for (const leaf of own) {
      let latest: TraceWait | undefined
      for (; next < waits.length; next++) {
        const wait = waits[next]
        if (wait === undefined || wait.to.time > leaf.start) break
        if (latest === undefined || wait.from.time > latest.from.time) latest = wait
      }
      const waited = latest && { time: latest.from.time, leaf: find(latest) }
      const launched = leaf.parent === undefined ? 0 : startOf(leaf.parent)
      if (!hasUnknownEdges(leaf)) this.#add(leaf, previous, waited, launched < leaf.start ? launched : 0)
      if (previous === undefined || leaf.end >= previous.end) previous = leaf
    }
  }

  #addNodes(launch: readonly Leaf[]): void {
    const ends = launch.toSorted((a, b) => a.end - b.end)
    for (const leaf of launch) this.#add(leaf, lastBefore(ends, leaf.start, leaf), undefined)
  }

  /** @param launched when the launch of its graph began, for all nodes but the first one */
  #add(leaf: Leaf, previous: Leaf | undefined, waited: Readiness["waited"], launched = 0): void {
    const { queued, start } = leaf
    const ready = Math.min(start, Math.max(queued, launched, previous?.end ?? 0, waited?.time ?? 0))
    this.#byLeaf.set(leaf, { queued, previous, waited, ready })
  }
}

function hasUnknownEdges({ parent, node }: Leaf): boolean {
  return parent !== undefined && node === undefined
}

/** The last of some operations, sorted by their ends, that ended by then. */
function lastBefore(ends: readonly Leaf[], time: number, except?: Leaf): Leaf | undefined {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ends[middle]?.end ?? Infinity) <= time) low = middle + 1
    else high = middle
  }
  const found = ends[low - 1]
  return found === except ? ends[low - 2] : found
}

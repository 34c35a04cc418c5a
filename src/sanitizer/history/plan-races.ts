/**
 * Races between the operations of one graph. A capture under the sanitizer is checked operation by operation. This is for
 * graphs that were captured before, and for nodes that got other arguments since.
 */
import { endOf, overlap } from "../../common/strided.js"
import type { Access, OperationPlan, PlannedOperation } from "../../runtime/order/observer/operation.js"

/** Two operations of a graph that race. */
export interface PlanRace {
  readonly plan: OperationPlan
  readonly earlier: PlannedOperation
  readonly later: PlannedOperation
  /** The indices of the two. */
  readonly places: readonly [earlier: number, later: number]
  readonly past: Access
  readonly access: Access
}

/** One access of a node: its own, or that of an operation inside the node. */
interface Use {
  readonly place: number
  readonly access: Access
  readonly end: number
}

/**
 * Finds races, at most one for each two nodes.
 *
 * @param isKnown whether these accesses of a node were checked when it was captured
 */
export function racesIn(plan: OperationPlan, isKnown: (accesses: readonly Access[]) => boolean): PlanRace[] {
  const isNew = plan.nodes.map(({ accesses }) => !isKnown(accesses))
  const inner = [...plan.parts.values()].flatMap((part) => racesIn(part, isKnown))
  if (!isNew.includes(true)) return inner
  const ancestors = new Ancestors(plan)
  const found = new Map<string, PlanRace>()
  forEachOverlap(usesOf(plan), (one, other) => {
    const [past, later] = one.place < other.place ? [one, other] : [other, one]
    const key = `${past.place} ${later.place}`
    if (found.has(key) || !(isNew[past.place] === true || isNew[later.place] === true)) return
    if (ancestors.isBefore(past.place, later.place)) return
    const race = raceOf(plan, past, later)
    if (race !== undefined) found.set(key, race)
  })
  return [...inner, ...found.values()]
}

function raceOf(plan: OperationPlan, past: Use, later: Use): PlanRace | undefined {
  const [earlier, node] = [plan.nodes[past.place], plan.nodes[later.place]]
  const places = [past.place, later.place] as const
  return earlier && node && { plan, earlier, later: node, places, past: past.access, access: later.access }
}

/** All accesses, by their first byte. */
function usesOf({ nodes, parts }: OperationPlan): Use[] {
  const uses = nodes.flatMap(({ accesses }, place) => {
    const part = parts.get(place)
    const inside = part === undefined ? [] : usesOf(part).map(({ access }) => access)
    return [...accesses, ...inside].map((access) => ({ place, access, end: endOf(access) }))
  })
  return uses.toSorted((one, other) => one.access.address - other.access.address)
}

/** Calls `visit` for each two accesses of different nodes that conflict. */
function forEachOverlap(sorted: readonly Use[], visit: (one: Use, other: Use) => void): void {
  let open: Use[] = []
  for (const use of sorted) {
    open = open.filter(({ end }) => end > use.access.address)
    for (const other of open) {
      const isConflict = use.access.mode !== "read" || other.access.mode !== "read"
      if (isConflict && other.place !== use.place && overlap(use.access, other.access)) visit(other, use)
    }
    open.push(use)
  }
}

/** The nodes that run before each node, as one bit for each. */
class Ancestors {
  readonly #rows: Uint32Array[] = []

  /** Nodes are in call order, so those that run before a node come before it in the list. */
  constructor({ nodes }: OperationPlan) {
    for (const { after } of nodes) {
      const row = new Uint32Array(Math.ceil(nodes.length / 32))
      for (const place of after) {
        this.#rows[place]?.forEach((bits, word) => (row[word] = (row[word] ?? 0) | bits))
        row[place >>> 5] = (row[place >>> 5] ?? 0) | (1 << (place & 31))
      }
      this.#rows.push(row)
    }
  }

  isBefore(place: number, later: number): boolean {
    return (((this.#rows[later]?.[place >>> 5] ?? 0) >>> (place & 31)) & 1) === 1
  }
}

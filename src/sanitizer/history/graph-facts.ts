/** The accesses of graphs: which operation inside makes which, and whether two of them race. */
import type { Access, OperationPlan } from "../../runtime/order/observer/operation.js"
import type { LatestLaunch } from "./latest-launch.js"
import type { OperationName } from "./past-access.js"
import { type PlanRace, racesIn } from "./plan-races.js"

/** The facts about a graph in its present state. */
export interface GraphFact {
  /** The operations that make its accesses, one for each. */
  readonly nodes: readonly (OperationName | undefined)[]
  /** Races between its own operations that no capture has reported. */
  readonly races: readonly PlanRace[]
  /** Its latest launch outside of captures, if that raced with nothing. */
  latest: LatestLaunch | undefined
}

export class GraphFacts {
  /** By the list of a graph's accesses, which is another one when the graph has changed. */
  readonly #known = new WeakMap<readonly Access[], GraphFact>()
  /** The accesses of operations that were checked when they were captured. */
  readonly #captured = new WeakSet<readonly Access[]>()

  /** Notes an operation that is checked as part of a capture. */
  noteCaptured(accesses: readonly Access[]): void {
    this.#captured.add(accesses)
  }

  of(accesses: readonly Access[], plan: OperationPlan): GraphFact {
    const known = this.#known.get(accesses)
    if (known !== undefined) return known
    const nodes = new Map<Access, OperationName>()
    collectNodes(plan, nodes)
    const fact: GraphFact = {
      nodes: accesses.map((access) => nodes.get(access)),
      races: racesIn(plan, (each) => this.#captured.has(each)),
      latest: undefined,
    }
    this.#known.set(accesses, fact)
    return fact
  }
}

function collectNodes({ nodes, parts }: OperationPlan, found: Map<Access, OperationName>): void {
  for (const [place, { kind, label, accesses }] of nodes.entries()) {
    for (const access of accesses) found.set(access, { kind, label })
    const part = parts.get(place)
    if (part !== undefined) collectNodes(part, found)
  }
}

/** The accesses of graphs: which operation inside makes which. */
import type { Access, OperationPlan } from "../runtime/order/operation.js"
import { Allocation } from "../runtime/memory/allocation.js"
import type { AccessFacts } from "./past-access.js"

export class GraphFacts {
  /** By the list of a graph's accesses, which is another one when the graph has changed. */
  readonly #known = new WeakMap<readonly Access[], readonly AccessFacts[]>()

  of(accesses: readonly Access[], plan: OperationPlan): readonly AccessFacts[] {
    const known = this.#known.get(accesses)
    if (known !== undefined) return known
    const labels = new Map<Access, string>()
    collectLabels(plan, labels)
    const facts = accesses.map((access) => nodeFacts(access, labels.get(access)))
    this.#known.set(accesses, facts)
    return facts
  }
}

function collectLabels({ nodes, parts }: OperationPlan, labels: Map<Access, string>): void {
  for (const [place, { label, accesses }] of nodes.entries()) {
    for (const access of accesses) labels.set(access, label)
    const part = parts.get(place)
    if (part !== undefined) collectLabels(part, labels)
  }
}

/** How an operation uses bytes, as the sanitizer remembers it. */
export function nodeFacts({ memory, mode, argument, name }: Access, node: string | undefined): AccessFacts {
  return { mode, argument, name, node, isWrapped: memory instanceof Allocation && memory.isForeign }
}

import type { Access, Operation, OperationKind, OperationPlan } from "../../runtime/order/observer/operation.js"

/** An operation, or one inside a graph, with what it uses. */
export interface SimpleOperation {
  readonly kind: OperationKind
  readonly label: string
  readonly accesses: readonly Access[]
}

/** The operation itself; of a graph, all operations inside it. */
export function* operationsIn(operation: Operation): Generator<SimpleOperation> {
  if (operation.plan === undefined) yield operation
  else yield* nodesIn(operation.plan)
}

function* nodesIn({ nodes, parts }: OperationPlan): Generator<SimpleOperation> {
  for (const [place, node] of nodes.entries()) {
    const part = parts.get(place)
    if (part === undefined || node.kind === "conditional") yield node
    if (part !== undefined) yield* nodesIn(part)
  }
}

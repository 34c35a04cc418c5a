import type { OperationPlan } from "../../runtime/order/observer/operation.js"
import type { AllocationSite } from "../source/allocations.js"
import type { Conflict, History } from "../history/history.js"
import type { QueuedOperation } from "../history/past-access.js"
import type { PlanRace } from "../history/plan-races.js"

/** A race between an operation and an earlier one. */
export interface Race extends Conflict {
  /** The operation that is about to be queued. */
  readonly queued: QueuedOperation
  readonly history: History
  readonly allocation: AllocationSite | undefined
}

/** A race between two operations of a graph. */
export interface RaceInGraph extends PlanRace {
  readonly plan: OperationPlan
  /** The launch of the graph that is about to be queued. */
  readonly queued: QueuedOperation
  readonly allocation: AllocationSite | undefined
}

/** A race as the observer finds it. */
export type AnyRace = Race | RaceInGraph

import type { AllocationSite } from "./allocations.js"
import type { Conflict, History } from "./history.js"
import type { QueuedOperation } from "./past-access.js"

/** A race as the observer finds it. */
export interface Race extends Conflict {
  /** The operation that is about to be queued. */
  readonly queued: QueuedOperation
  readonly history: History
  readonly allocation: AllocationSite | undefined
}

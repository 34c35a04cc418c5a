import type { OverlapKey, OverlapMode } from "../runtime/order/policy/overlap-policy.js"
import type { Entry } from "./entry.js"
import type { CallKind } from "./file/stored.js"

/**
 * The state of a key:
 *
 * - `measuring`: its calls alternate, or the policy waits for their times
 * - `decided`: its calls run as decided
 * - `early`: decided, and measured again after the thread's first 1 000 fork-joins with a policy
 * - `from file`: decided by another process, and not checked by this one yet
 * - `async`: its functions return promises, so its calls run in parallel, unmeasured
 * - `resident`: a kernel defined with `resident: true` needs the whole device, so its calls run in sequence
 * - `unmeasurable`: too many calls did not count, so its calls run in parallel for a while
 */
export type OverlapState = "measuring" | "decided" | "early" | "from file" | "async" | "resident" | "unmeasurable"

/** The state of one key on one device, in {@link MeasuredOverlap.decisions}. */
export interface OverlapDecision {
  /** The vendor's name of the device. */
  readonly device: string
  /** Eager calls and captured graphs are measured separately. */
  readonly call: CallKind
  /** The key of the calls: usually their shape. */
  readonly key: OverlapKey
  /** Undefined before the decision; until then calls run in both modes. */
  readonly mode: OverlapMode | undefined
  /** The typical cost of a call in parallel, in microseconds. Undefined before the decision. */
  readonly parallel: number | undefined
  /** The typical cost of a call in sequence, in microseconds. Divided by `parallel`, it is the gain that decided. Undefined before the decision. */
  readonly sequential: number | undefined
  /** How many pairs of calls the decision is based on. */
  readonly pairs: number
  /** How many times it was checked in this process. */
  readonly checks: number
  /** How many of these checks changed it. */
  readonly changes: number
  /** Whether the calls are still measured, or how the decision came about. */
  readonly state: OverlapState
}

/** What an entry knows. */
export function decisionOf(device: string, call: CallKind, entry: Entry): OverlapDecision {
  const { evidence } = entry
  return {
    ...{ device, call, key: entry.key, mode: entry.decision },
    ...{ parallel: evidence?.comparison.parallel, sequential: evidence?.comparison.sequential },
    ...{ pairs: evidence?.pairs ?? 0, checks: evidence?.checks ?? 0, changes: evidence?.changes ?? 0 },
    state: stateOf(entry),
  }
}

function stateOf({ evidence, pause, isEarly, isFromFile, isResident }: Entry): OverlapState {
  if (isResident) return "resident"
  if (evidence !== undefined) return isEarly ? "early" : isFromFile ? "from file" : "decided"
  return pause === "async" ? "async" : pause === "failed" ? "unmeasurable" : "measuring"
}

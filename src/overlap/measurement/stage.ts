/** One stage of a measurement: it says which mode the next call takes, and learns the times later, in any order. */
import type { OverlapMode } from "../../runtime/order/policy/overlap-policy.js"
import type { Pair, Timing } from "./rule.js"

/** The place of one call in a measurement. */
export interface Slot {
  readonly mode: OverlapMode
  /** Whether the call's time is wanted. */
  readonly isTimed: boolean
  /** What the call is part of: only its stage knows. */
  readonly part: object | undefined
}

/** See the head of this file. */
export interface Stage {
  /** The place of the next call; undefined if all calls were made and their times are awaited. */
  next(): Slot | undefined
  /** The call at this place has ended, and counts. If it is timed, its time follows, unless it is lost. */
  done(slot: Slot): void
  /** The call does not count. */
  failed(slot: Slot): void
  /** The time of a call is known. */
  timed(slot: Slot, timing: Timing): void
  /** The time of a call cannot be known. */
  lost(slot: Slot): void
  /** The measured pairs if they are enough to decide. */
  readonly result: readonly Pair[] | undefined
}

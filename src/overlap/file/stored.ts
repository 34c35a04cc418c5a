/** Decisions as files keep them. */
import type { OverlapKey, OverlapMode } from "../../runtime/order/policy/overlap-policy.js"

/** Eager calls and captured graphs are measured separately. */
export type CallKind = "eager" | "captured"

/** How many keys of each kind of call a policy keeps, in memory and in files. */
export const MOST_KEYS = 1024

/** Where a decision was measured. Decisions of other environments say nothing about this one. */
export interface Environment {
  /** The vendor's name of the device. */
  readonly device: string
  readonly multiprocessors: number
  /** The version of CUDA that the driver supports; null on the host device. */
  readonly driver: string | null
  /** The version of this library. */
  readonly auxstream: string
  /** The major version of Node.js, or the name and version of another runtime. */
  readonly runtime: string
}

/** What was decided for one key. */
export interface StoredDecision {
  readonly call: CallKind
  readonly key: OverlapKey
  readonly mode: OverlapMode
  /** The median costs of a call. */
  readonly parallelMicroseconds: number
  readonly sequentialMicroseconds: number
  /** How many pairs of calls were measured. */
  readonly pairs: number
  /** Whether it was decided before the process's code was warm. */
  readonly early: boolean
  /** When, as an ISO 8601 date. */
  readonly decided: string
}

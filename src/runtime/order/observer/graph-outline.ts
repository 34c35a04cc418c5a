/**
 * What a trace knows of a graph: the names of its operations, their order, and the fork-joins in which they were captured. It is
 * plain data, so that a trace, which may be kept for long, keeps nothing else of the program alive.
 */
import type { OperationKind } from "./operation.js"
import type { RegionName } from "./region.js"

/** A fork-join that was called in a capture. */
export interface OutlinedRegion {
  readonly name: RegionName
  readonly mode: "parallel" | "sequential"
  readonly reason: string
  /** The index of the fork-join inside which it was called, and of the function there. Undefined if that is not in the capture. */
  readonly parent: number | undefined
  readonly branch: number | undefined
  /** For a fork: the indices of the operations that its caller queued on its own stream before it joined the fork. */
  readonly beside: readonly number[]
}

/** An operation of a graph. */
export interface OutlinedOperation {
  readonly kind: OperationKind
  readonly label: string
  /** The indices of the operations that run directly before it. */
  readonly after: readonly number[]
  /** The index of the innermost fork-join, and of the function there; undefined between functions, and outside. */
  readonly region: number | undefined
  readonly branch: number | undefined
  /** How many nodes the driver had captured after it. Undefined if that is not known. */
  readonly until: number | undefined
  /** The graph that was launched inside, or the body of a conditional. */
  readonly part: GraphOutline | undefined
}

export interface GraphOutline {
  /** In the order of the calls. */
  readonly operations: readonly OutlinedOperation[]
  readonly regions: readonly OutlinedRegion[]
}

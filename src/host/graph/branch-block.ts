import type { StreamSlot } from "../queue/stream.js"

/** A branch of a graph as it is run: its commands, in one piece. */
export interface BranchBlock {
  readonly block: number
  /** Words in use. */
  readonly length: number
  /** How many commands there are. */
  readonly count: number
  readonly level: number
  /** What the first command waits for. */
  readonly firstWait: { readonly branch: number; readonly position: number } | undefined
  readonly shape: readonly number[]
  /** How many of them are waits for other branches. */
  readonly waits: number
}

/** The place behind a graph's latest launch. */
export interface LaunchEnd {
  readonly slot: StreamSlot
  readonly position: number
}

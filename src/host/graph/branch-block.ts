import type { StreamSlot } from "../queue/stream.js"

/** A branch of a graph, ready to run: its commands in one block of the control memory. */
export interface BranchBlock {
  readonly block: number
  /** Words in use. */
  readonly length: number
  /** How many commands there are. */
  readonly count: number
  readonly level: number
  /** What its first command waits for. */
  readonly firstWait: { readonly branch: number; readonly position: number } | undefined
  readonly shape: readonly number[]
  /** How many of the commands wait for other branches. */
  readonly waits: number
}

/** The position after a graph's latest launch. */
export interface LaunchEnd {
  readonly slot: StreamSlot
  readonly position: number
}

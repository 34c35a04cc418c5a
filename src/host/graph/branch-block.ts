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
  /** For each position, the number of its command among those of all branches, in the order of the calls; -1 for a wait. */
  readonly calls: readonly number[]
  /** How many of the commands wait for other branches. */
  readonly waits: number
}

/** What becomes a branch of a graph: its commands, from word 0 to word `end`. */
export interface BranchSource extends Omit<BranchBlock, "block" | "length" | "shape"> {
  readonly words: Int32Array
  readonly end: number
  shape(): readonly number[]
}

/** The position after a graph's latest launch. */
export interface LaunchEnd {
  readonly slot: StreamSlot
  readonly position: number
}

import type { StreamState } from "./stream-state.js"

/** One stream's newest use of a piece of memory. */
export interface Use {
  readonly stream: StreamState
  readonly tick: number
}

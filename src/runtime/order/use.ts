import type { StreamState } from "./stream-state.js"

/** The newest use of a piece of memory by one stream. */
export interface Use {
  readonly stream: StreamState
  readonly tick: number
}

import type { Uses } from "./uses.js"
import type { StreamState } from "./stream-state.js"

/** Memory that operations use: an array's allocation, or pinned memory. */
export interface UsedMemory {
  readonly uses: Uses
  /** Makes the stream's next operation run after the memory has become valid. */
  orderBefore(stream: StreamState): void
}

/**
 * Queues one operation that uses memory: behind the memory's allocation, noted with the memory once the driver has
 * accepted it. A failed submission changes nothing.
 */
export function queueOperation(stream: StreamState, memories: readonly UsedMemory[], submit: () => void): void {
  stream.enter()
  for (const memory of memories) memory.orderBefore(stream)
  submit()
  const tick = stream.advance()
  for (const memory of memories) memory.uses.note(stream, tick)
}

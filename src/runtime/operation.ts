import type { Birth } from "./birth.js"
import type { LaunchGroup } from "./launch-group.js"
import type { Use, Uses } from "./uses.js"
import type { StreamState } from "./stream-state.js"

/** Memory that operations use: an array's allocation, or pinned memory. */
export interface UsedMemory {
  readonly uses: Uses
  /** The graphs that name it. */
  readonly launchGroup: LaunchGroup
  /** Where it begins; undefined if it was always there. */
  readonly birth: Birth | undefined
  /** A graph names it: it stays when its owner disposes of it. */
  retain(): void
  /** A graph that named it is gone. */
  release(launches: readonly Use[]): void
}

/** The memory of a device array and its views. */
export interface ArrayMemory extends UsedMemory {
  readonly address: number
  readonly disposed: boolean
  /** The first contents have just been queued on the stream that it comes from: it begins behind them. */
  noteContents(stream: StreamState): void
  dispose(): void
}

/**
 * Queues one operation that uses memory: behind the memory's birth, noted with the memory once the driver has
 * accepted it. A failed submission changes nothing. `label` is what a graph calls the operation.
 */
export function queueOperation(
  stream: StreamState,
  label: string,
  memories: readonly UsedMemory[],
  submit: () => void,
): void {
  stream.enter()
  for (const memory of memories) stream.prepare(memory)
  submit()
  const tick = stream.advance(label)
  for (const memory of memories) stream.use(memory, tick)
}

import type { StridedRange } from "../../common/strided.js"
import type { Birth } from "./birth.js"
import type { LaunchGroup } from "./launch-group.js"
import type { Uses } from "./uses.js"
import type { Writes } from "./writes.js"
import type { StreamState, Use } from "../order/stream-state.js"

/** Memory that operations use: an array's allocation, or pinned memory. */
export interface UsedMemory {
  readonly uses: Uses
  /** The group of the graphs that use it. */
  readonly launchGroup: LaunchGroup
  /** The birth; undefined if the memory was not allocated in a stream's order. */
  readonly birth: Birth | undefined
  /** The writes, on devices where a failure breaks only its stream; undefined if JavaScript may write the memory, too. */
  readonly writes: Writes | undefined
  /** A graph uses the memory, so it is kept after its owner has disposed of it. */
  retain(): void
  /** A graph that used the memory is gone. */
  release(launches: readonly Use[]): void
}

/** The memory of a device array and its views. */
export interface ArrayMemory extends UsedMemory {
  readonly address: number
  readonly disposed: boolean
  /** Whether a region orders its uses, its first contents included. */
  readonly isPlaced: boolean
  /** The first contents have just been queued on the stream of the allocation, and become part of the birth. */
  noteContents(stream: StreamState): void
  dispose(): void
}

/** A range of bytes that an operation uses: an array, a view, or a part of pinned memory. */
export interface Span {
  readonly allocation: UsedMemory
  readonly address: number
  readonly byteLength: number
  /** The rows, if the operation uses only these. The first begins at `address`, the last ends with the span. */
  readonly rows?: StridedRange
}

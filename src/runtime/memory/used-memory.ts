import type { StridedRange } from "../../common/strided.js"
import type { Birth } from "./birth.js"
import type { LaunchGroup } from "./launch-group.js"
import type { Use } from "../order/use.js"
import type { Uses } from "./uses.js"
import type { Writes } from "./writes.js"
import type { StreamState } from "../order/stream-state.js"

/** Memory that operations use: an array's allocation, or pinned memory. */
export interface UsedMemory {
  readonly uses: Uses
  /** The graphs that name it. */
  readonly launchGroup: LaunchGroup
  /** Where it begins; undefined if it was always there. */
  readonly birth: Birth | undefined
  /** What may fail to be written, where a failure breaks a stream alone; undefined for what JavaScript writes, too. */
  readonly writes: Writes | undefined
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

/** Bytes that an operation uses: an array, a view, or a part of pinned memory. */
export interface Span {
  readonly allocation: UsedMemory
  readonly address: number
  readonly byteLength: number
  /** If it uses only some of the bytes: the rows that it uses. The first begins at `address`, the last ends with the span. */
  readonly rows?: StridedRange
}

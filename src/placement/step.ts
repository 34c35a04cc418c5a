/**
 * The steps of a region, which are the operations that it has placed, and its streams. A step must not keep its operation:
 * that would keep arrays alive that the program has disposed of.
 */
import type { EventHandle } from "../driver/handles.js"
import type { OperationKind } from "../runtime/order/observer/operation.js"
import type { RecordPoint } from "../runtime/order/record-point.js"
import type { RegionPart } from "../runtime/order/observer/region.js"
import type { StreamState } from "../runtime/order/stream-state.js"

/** A stream of a region. */
export class RegionStream {
  readonly index: number
  readonly state: StreamState
  /** Operations on each stream are a part of the region, as the functions of a fork-join are. */
  readonly part: RegionPart
  /** Whether the region has placed a call here that needs a workspace. */
  hasWorkspace = false
  /** The number of steps since the latest fence. */
  count = 0
  /** The newest of these steps. */
  last: Step | undefined
  /** For each stream, the position up to which its steps run before the next step here. */
  readonly before: number[] = []
  /** Whether the next step here runs after the latest fence. */
  isAfterFence: boolean

  constructor(index: number, state: StreamState, part: RegionPart) {
    this.index = index
    this.state = state
    this.part = part
    this.isAfterFence = index === 0
  }

  /** Whether the next step here already runs after a step. */
  isAfter(step: Step): boolean {
    return step.stream === this || (this.before[step.stream.index] ?? 0) >= step.position
  }
}

/** How long an operation is taken to be: a fill or a copy usually takes less time than a kernel. */
export function lengthOf(kind: OperationKind): number {
  return kind === "launch" || kind === "matmul" || kind === "graph" ? 2 : 1
}

/** One operation that a region has placed. */
export class Step {
  /** Counts up with each operation of the region. */
  readonly index: number
  readonly stream: RegionStream
  /** How many steps of its stream, itself included, there are since the latest fence. */
  readonly position: number
  /** The length of the longest chain of steps since the latest fence that ends with it; see {@link lengthOf}. */
  readonly depth: number
  /** How many places of the history name it. At 0, no later operation can conflict with it. */
  uses = 0
  /** The number of the latest search that found it, so that a search finds it once. */
  found = -1
  /** Recorded after it; undefined as long as it is its stream's last step, or if nothing can wait for it. */
  event: EventHandle | undefined
  point: RecordPoint | undefined
  /** For each stream of the region, the position up to which its steps run before this step's end. Set with the event. */
  before: readonly number[] | undefined

  constructor(index: number, stream: RegionStream, position: number, depth: number) {
    this.index = index
    this.stream = stream
    this.position = position
    this.depth = depth
  }
}

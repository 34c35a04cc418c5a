/**
 * A call of a fork-join function, as observers see it. Regions are made only while there is an observer or an open capture,
 * and follow the flow of calls, across `await`, as the current stream does.
 */
import type { OperationObserver } from "./observer.js"
import type { OverlapNote } from "../policy/overlap-policy.js"
import type { StreamState } from "../stream-state.js"

/** The functions whose calls are regions. */
export type RegionName = "maybeExecuteInParallel" | "executeInParallel" | "parallel" | "fork" | "autoParallel"

let count = 0

/** One call, from its beginning to its end. A `fork` ends when it is joined for the first time, or cannot be joined. */
export class Region {
  /** Counts up with each region of this thread. */
  readonly number = count++
  readonly name: RegionName
  readonly mode: "parallel" | "sequential"
  /** Why it runs in this mode, as in {@link ParallelMessage}. */
  readonly reason: string
  /** The streams, the current one first; in sequential mode only that one. Empty if there is no current device. */
  readonly streams: readonly StreamState[]
  /** What a policy has to say about the call; undefined if it has none. */
  readonly policy: OverlapNote | undefined
  /** The function of an outer call inside which this call was made. */
  readonly parent: RegionPart | undefined
  /** The place of code that runs in the call but in none of its functions: its records and waits. */
  readonly own: RegionPart
  /** Whether its work becomes part of a graph. */
  readonly isCaptured: boolean
  readonly #observer: OperationObserver
  #isOver = false

  constructor(
    name: RegionName,
    mode: "parallel" | "sequential",
    reason: string,
    streams: readonly StreamState[],
    parent: RegionPart | undefined,
    observer: OperationObserver,
    policy?: OverlapNote,
  ) {
    this.name = name
    this.mode = mode
    this.reason = reason
    this.streams = streams
    this.policy = policy
    this.parent = parent
    this.own = new RegionPart(this, undefined)
    this.isCaptured = streams[0]?.capture !== undefined
    this.#observer = observer
    observer.began(this)
  }

  /** Whether it has been joined. */
  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#observer.ended(this)
  }
}

/** A place in a region: inside one of its functions, or between them. */
export class RegionPart {
  readonly region: Region
  /** The index of the function: 0 is the main function. A fork has only function 1. Undefined between functions. */
  readonly index: number | undefined

  constructor(region: Region, index: number | undefined) {
    this.region = region
    this.index = index
  }
}

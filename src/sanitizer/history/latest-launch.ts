/**
 * What the latest launch of a graph left in the history. The next launch on the same stream makes the same accesses, so it is
 * compared again only where something else has used the memory since. Otherwise a launch would cost as much as all of its
 * nodes.
 */
import type { VectorClock } from "../../runtime/clock/vector-clock.js"
import type { Access } from "../../runtime/order/observer/operation.js"
import type { History } from "./history.js"
import type { Lane } from "./lane.js"
import type { QueuedOperation } from "./past-access.js"
import type { Segment } from "./shadow.js"

export class LatestLaunch {
  readonly operation: QueuedOperation
  readonly #history: History
  readonly #lane: Lane
  #clock: VectorClock
  /** For each access, the segment that has exactly its bytes. */
  readonly #segments: Segment[]
  /** The version of each segment after the launch. */
  readonly #versions: number[]

  private constructor(history: History, operation: QueuedOperation, segments: Segment[]) {
    this.operation = operation
    this.#history = history
    this.#lane = operation.lane
    this.#clock = operation.lane.clock
    this.#segments = segments
    this.#versions = segments.map(({ version }) => version)
  }

  /** Call this when the accesses have been noted. @returns undefined if other accesses have divided or joined their bytes */
  static of(history: History, operation: QueuedOperation, accesses: readonly Access[]): LatestLaunch | undefined {
    if (history.strided.size > 0) return undefined
    const segments: Segment[] = []
    for (const { address, width } of accesses) {
      const segment = history.shadow.exactly(address, address + width)
      if (segment === undefined) return undefined
      segments.push(segment)
    }
    return new LatestLaunch(history, operation, segments)
  }

  /**
   * The indices of the accesses that must be compared again for a launch on this lane; undefined for all of them.
   *
   * @param clock the order before the new launch
   */
  changes(history: History, lane: Lane, clock: VectorClock): readonly number[] | undefined {
    if (history !== this.#history || lane !== this.#lane || history.strided.size > 0) return undefined
    const isSameClock = clock === this.#clock
    let changed: number[] | undefined
    for (let index = 0; index < this.#segments.length; index++) {
      const segment = this.#segments[index]
      // What other lanes did here may be ordered before the launch now. Then the launch replaces it.
      const isSame = segment !== undefined && (isSameClock || segment.accesses.length === 1)
      if (!isSame || segment.version !== this.#versions[index]) (changed ??= []).push(index)
    }
    return changed ?? none
  }

  /**
   * Another launch has been queued, and those of its accesses that were compared again have been noted.
   *
   * @returns whether their bytes still are segments
   */
  renew(accesses: readonly Access[], changed: readonly number[]): boolean {
    this.#clock = this.#lane.clock
    for (const index of changed) {
      const { address, width } = accesses[index] ?? empty
      const segment = this.#history.shadow.exactly(address, address + width)
      if (segment === undefined) return false
      this.#segments[index] = segment
      this.#versions[index] = segment.version
    }
    return true
  }
}

const none: readonly number[] = []
const empty = { address: 0, width: 0 }

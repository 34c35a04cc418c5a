import type { EventHandle, GraphHandle } from "../../driver.js"
import { RecordPoint } from "../order/record-point.js"
import type { StreamState, Use } from "../order/stream-state.js"
import { Uses } from "./uses.js"

/** The end of one graph's newest launch. Launches on other streams run after it, but not after later work of its stream. */
export class LaunchEnd {
  readonly point = new RecordPoint()
  #stream: StreamState | undefined
  #tick = 0
  /** The executable graph that was launched. */
  #handle: GraphHandle | undefined
  #event: EventHandle | undefined

  /** Recorded after the launch, if the graph shares memory with other graphs. */
  get event(): EventHandle | undefined {
    return this.#event
  }

  /** Notes the launch that the stream has just counted. */
  note(stream: StreamState, tick: number, handle: GraphHandle, isShared: boolean): void {
    this.#stream = stream
    this.#tick = tick
    this.#handle = handle
    if (!isShared) return stream.mark(this.point)
    try {
      this.#event ??= stream.order.events.acquire()
      stream.record(this.#event, this.point)
    } catch {
      // The launch is queued. Without an event, launches of other graphs wait for everything on its stream.
      this.dispose()
      stream.mark(this.point)
    }
  }

  isOf({ stream, tick }: Use): boolean {
    return stream === this.#stream && tick === this.#tick
  }

  /**
   * Whether a launch of this executable can be ordered after it: by its event, or by the driver if both launch one
   * executable.
   */
  canOrder(handle: GraphHandle, stream: StreamState): boolean {
    if (this.#event !== undefined) return true
    return handle === this.#handle && !stream.shared && this.#stream?.shared === false
  }

  /** Releases the event. */
  dispose(): void {
    if (this.#event !== undefined) this.#stream?.order.events.release(this.#event)
    this.#event = undefined
  }
}

/**
 * A group of graphs that share memory. Their launches run one after another, on any streams, and share one record. So the
 * cost of a launch does not depend on the number of arrays that the graph uses.
 */
export class LaunchGroup {
  #launches = new Uses()
  /** The end of the newest launch; undefined if there is none, or more than one. */
  #latest: LaunchEnd | undefined
  #larger: LaunchGroup | undefined
  /** The number of groups that were united in it. */
  #size = 1
  #graphs: number

  /** @param graphs the number of graphs in it; 0 for the group of an array's memory */
  constructor(graphs = 0) {
    this.#graphs = graphs
  }

  /** Whether several graphs share memory. */
  get isShared(): boolean {
    return this.#root().#graphs > 1
  }

  get latest(): LaunchEnd | undefined {
    return this.#root().#latest
  }

  set latest(end: LaunchEnd) {
    this.#root().#latest = end
  }

  /** The record of launches of the whole group. */
  get launches(): Uses {
    return this.#root().#launches
  }

  /** The united group that this one is part of now. */
  get whole(): object {
    return this.#root()
  }

  /** Unites two groups. */
  unite(other: LaunchGroup): void {
    const first = this.#root()
    const second = other.#root()
    if (first === second) return
    const [larger, smaller] = first.#size > second.#size ? [first, second] : [second, first]
    const launches = smaller.#launches.list()
    if (launches.length > 0) larger.#latest = larger.#launches.list().length > 0 ? undefined : smaller.#latest
    for (const use of launches) larger.#launches.add(use)
    larger.#graphs += smaller.#graphs
    larger.#size += smaller.#size
    smaller.#larger = larger
  }

  /** Whether both belong to one group. */
  isOneWith(other: LaunchGroup): boolean {
    return this.#root() === other.#root()
  }

  /** The united group. Shortens the path to it on the way, as in a union-find structure. */
  #root(): LaunchGroup {
    let group: LaunchGroup = this
    while (group.#larger !== undefined) {
      group.#larger = group.#larger.#larger ?? group.#larger
      group = group.#larger
    }
    return group
  }
}

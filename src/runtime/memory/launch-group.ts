import type { EventHandle, GraphHandle } from "../../driver/handles.js"
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
    if (isShared) this.#record(stream)
    else stream.mark(this.point)
  }

  #record(stream: StreamState): void {
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

/** The launches of a group's graphs. */
export class GroupLaunches {
  readonly uses = new Uses()
  /** The end of the newest launch; undefined if there is none, or more than one. */
  latest: LaunchEnd | undefined
  /** The number of graphs in the group. */
  graphs: number

  constructor(graphs: number) {
    this.graphs = graphs
  }

  /** Adds those of another group. */
  add({ uses, latest, graphs }: GroupLaunches): void {
    const others = uses.list()
    if (others.length > 0) this.latest = this.uses.list().length > 0 ? undefined : latest
    for (const use of others) this.uses.add(use)
    this.graphs += graphs
  }
}

/**
 * A group of graphs that share memory. Their launches run one after another, on any streams, and share one record. So the
 * cost of a launch does not depend on the number of arrays that the graph uses.
 */
export class LaunchGroup {
  static #unions = 0
  readonly #launches: GroupLaunches
  #larger: LaunchGroup | undefined
  /** The number of groups that were united in it. */
  #size = 1

  /** @param graphs the number of graphs in it; 0 for the group of an array's memory */
  constructor(graphs = 0) {
    this.#launches = new GroupLaunches(graphs)
  }

  /** The launches of the whole group, until it is united with another. */
  get launches(): GroupLaunches {
    return this.#root().#launches
  }

  /** The united group that this one is part of now. */
  get whole(): object {
    return this.#root()
  }

  /** Counts up whenever two groups are united, whichever they are. */
  get unions(): number {
    return LaunchGroup.#unions
  }

  /** Unites two groups. */
  unite(other: LaunchGroup): void {
    const first = this.#root()
    const second = other.#root()
    if (first === second) return
    const [larger, smaller] = first.#size > second.#size ? [first, second] : [second, first]
    larger.#launches.add(smaller.#launches)
    larger.#size += smaller.#size
    smaller.#larger = larger
    LaunchGroup.#unions++
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

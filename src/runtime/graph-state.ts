import type { GraphHandle } from "../driver.js"
import type { Capture } from "./capture.js"
import { LaunchGroup } from "./launch-group.js"
import { Origins } from "./origins.js"
import type { StreamState } from "./stream-state.js"

/** A graph below its public face: what outlives a forgotten {@link Graph}. */
export class GraphState {
  capture: Capture
  handle: GraphHandle
  readonly #group = new LaunchGroup()
  #origins: Origins
  #disposed = false

  constructor(capture: Capture, handle: GraphHandle) {
    this.capture = capture
    this.handle = handle
    this.#origins = this.#joinMemory()
  }

  get disposed(): boolean {
    return this.#disposed
  }

  #joinMemory(): Origins {
    const { arena, kept } = this.capture
    const origins = new Origins()
    this.#group.unite(arena.launchGroup)
    for (const memory of kept) this.#group.unite(memory.launchGroup)
    for (const memory of [...arena.allocations, ...kept]) origins.add(memory)
    return origins
  }

  /** Takes another capture in place of the one before. */
  replace(capture: Capture, handle: GraphHandle): void {
    const former = this.capture
    const formerHandle = this.handle
    this.capture = capture
    this.handle = handle
    this.#origins = this.#joinMemory()
    this.#giveBack(former, formerHandle === handle ? undefined : formerHandle)
  }

  launch(stream: StreamState): void {
    const { order } = this.capture
    order.captures.checkOutside("a graph", "be launched")
    stream.enter()
    const { launches } = this.#group
    if (!launches.areBefore(stream)) {
      for (const use of launches.list()) if (!stream.isAfter(use.stream, use.tick)) stream.waitFor(use.stream)
    }
    this.#origins.orderBefore(stream)
    order.driver.launchGraph(this.handle, stream.handle)
    launches.note(stream, stream.advance("graph"))
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#giveBack(this.capture, this.handle)
  }

  #giveBack(capture: Capture, handle: GraphHandle | undefined): void {
    const { order } = capture
    const launches = this.#group.launches.list()
    capture.dispose(launches)
    if (handle === undefined) return
    order.giveBackBehind(launches, () => {
      // A closed driver gives its graphs back itself.
      if (!order.closed) order.driver.destroyGraph(handle)
    })
  }
}

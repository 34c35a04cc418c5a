import type { GraphHandle } from "../../driver.js"
import { captureOf } from "./capture.js"
import type { GraphCapture } from "./graph-capture.js"
import { LaunchGroup } from "../memory/launch-group.js"
import { Origins } from "./prerequisites.js"
import type { StreamState } from "../order/stream-state.js"
import { telling } from "../order/told-failures.js"
import type { Use } from "../order/use.js"

/** A graph below its public face: what outlives a forgotten {@link Graph}. */
export class GraphState {
  capture: GraphCapture
  handle: GraphHandle
  /** The graphs that it shares memory with. */
  readonly group = new LaunchGroup()
  #origins: Origins
  #disposed = false

  constructor(capture: GraphCapture, handle: GraphHandle) {
    this.capture = capture
    this.handle = handle
    this.#origins = this.#joinMemory()
  }

  get disposed(): boolean {
    return this.#disposed
  }

  #joinMemory(): Origins {
    const origins = new Origins()
    this.capture.memory.joinGroup(this.group)
    this.capture.memory.addTo(origins)
    return origins
  }

  /** Takes another capture in place of the one before. */
  replace(capture: GraphCapture, handle: GraphHandle): void {
    const former = this.capture
    const formerHandle = this.handle
    this.capture = capture
    this.handle = handle
    this.#origins = this.#joinMemory()
    this.#giveBack(former, formerHandle === handle ? undefined : formerHandle)
  }

  /** Queues a launch; inside a capture, the graph becomes part of that one. */
  launch(stream: StreamState): void {
    stream.enter()
    const outer = captureOf(stream)
    if (outer !== undefined) return outer.addGraph(this, stream)
    const { memory, order } = this.capture
    if (stream.failures !== undefined) memory.checkWritten()
    const { launches } = this.group
    if (!launches.areBefore(stream)) {
      for (const use of launches.list())
        if (!isOver(use) && !stream.isAfter(use.stream, use.tick)) stream.waitFor(use.stream)
    }
    this.#origins.orderBefore(stream)
    telling(() => order.driver.launchGraph(this.handle, stream.handle))
    launches.note(stream, stream.advance("graph"))
    if (stream.failures !== undefined) memory.noteWrites(stream.failures)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#giveBack(this.capture, this.handle)
  }

  #giveBack(capture: GraphCapture, handle: GraphHandle | undefined): void {
    const { order } = capture
    const launches = this.group.launches.list()
    capture.memory.disposeBehind(launches)
    if (handle === undefined) return
    order.giveBackBehind(launches, () => {
      // A closed driver gives its graphs back itself.
      if (!order.closed) order.driver.destroyGraph(handle)
    })
  }
}

/** A launch on a stream that broke breaks none of the next ones, once that is known. */
function isOver({ stream, tick }: Use): boolean {
  return tick <= stream.brokenAt
}

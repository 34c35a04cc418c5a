import type { GraphHandle } from "../../driver/handles.js"
import { Capture } from "./capture.js"
import { NodeChanges } from "./node-changes.js"
import type { Operation } from "../order/observer/operation.js"
import type { StreamState } from "../order/stream-state.js"

/** A capture that becomes a graph. */
export class GraphCapture extends Capture {
  readonly changes = new NodeChanges(this.order, this.plan, this.memory)

  override addNode(operation: Operation, tick: number): number {
    const node = super.addNode(operation, tick)
    this.#count(node, operation.stream)
    if (operation.kind === "launch") this.#allowChanges(node, operation.stream)
    return node
  }

  /** For traces only, so a failure does not matter. */
  #count(node: number, stream: StreamState): void {
    try {
      this.plan.noteCount(node, this.order.driver.graphs.capturedCount(stream.handle))
    } catch {
      // A trace of the graph will not show its fork-joins.
    }
  }

  #allowChanges(node: number, stream: StreamState): void {
    try {
      this.changes.allow(node, this.order.driver.graphs.capturedNode(stream.handle))
    } catch (error) {
      this.invalidate(error) // The operation has been queued, so it must not throw.
    }
  }

  protected override beginInDriver(): void {
    this.order.driver.graphs.beginCapture(this.root.handle)
  }

  protected override cancelInDriver(): void {
    this.order.driver.graphs.cancelCapture(this.root.handle)
  }

  /**
   * Ends the capture. @returns the executable graph
   *
   * @param update an executable graph to change in place, which works if the shape is the same
   * @param isChained whether the operations run one after another
   */
  end(update: GraphHandle | undefined, isChained: boolean): GraphHandle {
    const { driver } = this.order
    return this.endWith(() => driver.graphs.endCapture(this.root.handle, update, this.hasPriorities, isChained))
  }
}

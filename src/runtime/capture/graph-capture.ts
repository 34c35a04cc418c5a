import type { GraphHandle } from "../../driver.js"
import { Capture } from "./capture.js"

/** A capture that becomes a graph of its own. */
export class GraphCapture extends Capture {
  protected override beginInDriver(): void {
    this.order.driver.graphs.beginCapture(this.root.handle)
  }

  protected override cancelInDriver(): void {
    this.order.driver.graphs.cancelCapture(this.root.handle)
  }

  /**
   * Ends the capture. The graph can be launched.
   *
   * @param update the executable graph that is to be changed in place if the shape is the same
   */
  end(update: GraphHandle | undefined): GraphHandle {
    return this.endWith(() => this.order.driver.graphs.endCapture(this.root.handle, update, this.hasPriorities))
  }
}

import { captureGraph, type Device } from "auxstream"

/** Everything that `queue` queues as one graph, which the returned function launches. */
export function captured(device: Device, queue: () => void): () => void {
  queue() // Compiles, and makes everything that is made once.
  device.synchronize()
  const graph = captureGraph(queue, { device })
  return () => graph.launch()
}

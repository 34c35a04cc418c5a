/** The trace of a graph with fork-joins, launched twice on the host device: one of two layers in parallel, one in sequence. */
import { captureGraph, openDevice, parallel, startTrace, type TraceData, withMultiStream } from "../../../src/index.js"
import { once, timed } from "../../support/kernels.js"

export async function traceOfGraph(): Promise<TraceData> {
  const device = openDevice("host", { threads: 4 })
  const times = device.zeros("int64", 2)
  const run = (milliseconds: number) => () => timed.launch(once, 1000 * milliseconds, times)
  const layer = () => {
    run(2)()
    parallel([run(8), () => [run(3)(), run(3)()]])
  }
  const graph = captureGraph(
    () => {
      layer()
      withMultiStream(false, layer)
    },
    { device },
  )
  graph.launch()
  device.synchronize()
  const trace = startTrace()
  graph.launch()
  graph.launch()
  const { data } = await trace.stop()
  for (const made of [graph, times, device]) made.dispose()
  return data
}

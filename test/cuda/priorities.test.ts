/** Priorities of streams in graphs, and of other libraries' streams. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  fork,
  type Graph,
  openDevice,
  runIf,
  type Stream,
} from "../../src/index.js"
import { affine, once } from "../support/kernels.js"
import { onDouble, open } from "./device.js"
import { double } from "./double.js"

/** CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY */
const useNodePriority = 8

/** The flags of the graphs that `fn` instantiates. */
function flagsOf(fn: () => void): (string | number | undefined)[] {
  return double.log(fn).flatMap(([name, , flags]) => (name === "cuGraphInstantiateWithFlags" ? [flags] : []))
}

onDouble("priorities", () => {
  /** A kernel in a fork, on this stream or on one of the pool. */
  const beside = (device: Device, stream?: Stream) => () => {
    const x = device.zeros("int32", 1)
    using forked = fork(() => affine.launch(once, 1, x, 1, 1), { stream })
    forked.join()
  }

  test("a graph that has a stream with a priority keeps the priorities; any other runs with the launching stream's", () => {
    using device = openDevice("cuda:0")
    using urgent = device.createStream({ priority: device.driver.priorities.greatest })
    const graphs: Disposable[] = []
    const captured = (fn: () => void) => flagsOf(() => graphs.push(captureGraph(fn)))
    const flag = device.full("int32", 1, 1)
    assert.deepEqual(captured(beside(device)), [0])
    assert.deepEqual(captured(beside(device, urgent)), [useNodePriority])
    // Inside a conditional's body, and inside a graph that becomes part of another one.
    assert.deepEqual(
      captured(() => runIf(flag, beside(device, urgent))),
      [useNodePriority],
    )
    const inner = captureGraph(beside(device, urgent))
    assert.deepEqual(
      captured(() => inner.launch()),
      [useNodePriority],
    )
    for (const graph of [...graphs, inner]) graph[Symbol.dispose]()
  })

  test("a conditional's body has the priority of the stream that the conditional is on", () => {
    using device = openDevice("cuda:0")
    const { greatest } = device.driver.priorities
    using urgent = device.createStream({ priority: greatest })
    const flag = device.full("int32", 1, 1)
    let seen: number | undefined
    using graph = captureGraph(() => {
      urgent.wait(currentStream(device))
      urgent.run(() =>
        runIf(flag, () => {
          seen = double.streamPriority(currentStream(device).state.handle)
          affine.launch(once, 1, flag, 1, 1)
        }),
      )
      currentStream(device).wait(urgent)
    })
    assert.ok(graph)
    assert.equal(seen, greatest)
  })

  test("an update changes a graph in place only if both keep priorities, or neither does", () => {
    using device = openDevice("cuda:0")
    using urgent = device.createStream({ priority: -1 })
    using graph: Graph<void> = captureGraph(beside(device))
    assert.equal(graph.update(beside(device)), true)
    assert.equal(graph.update(beside(device, urgent)), false)
    assert.equal(graph.update(beside(device, urgent)), true)
    assert.equal(graph.update(beside(device)), false)
    graph.launch()
    device.synchronize()
  })

  test("a stream of another library has its own priority, in a graph, too", () => {
    using device = openDevice("cuda:0")
    using another = open()
    const foreign = device.streamFromHandle(BigInt(another.streams.create(-3)))
    assert.equal(foreign.priority, -3)
    const flags = flagsOf(() => captureGraph(beside(device, foreign)).dispose())
    assert.deepEqual(flags, [useNodePriority])
    foreign.dispose()
  })
})

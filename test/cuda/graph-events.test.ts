/** No two graphs share an event: replays of one could otherwise release or hold the other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, type DeviceArray, type Graph, maybeExecuteInParallel, openDevice } from "../../src/index.js"
import { affine, over } from "../support/kernels.js"
import { onDouble } from "./device.js"
import { double } from "./double.js"

const length = 4

function add(x: DeviceArray<"int32">): void {
  affine.launch(over(length), length, x, 1, 1)
}

onDouble("events of graphs", () => {
  test("a launch records and waits for no event, whatever events the captured function used", () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using aux = device.createStream()
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    const capture = () =>
      captureGraph(() =>
        maybeExecuteInParallel(
          () => add(x),
          () => add(y),
          e0,
          e1,
          aux,
        ),
      )
    using first = capture()
    device.synchronize()
    const calls = double.log(() => first.launch()).map(([name]) => name)
    assert.deepEqual(calls, ["cuGraphLaunch"])
  })

  test("graphs that share an array record an event of their own behind each launch", () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("int32", length)
    const graphs: Graph<void>[] = [0, 1, 2].map(() => captureGraph(() => add(x)))
    const streams = [device.createStream(), device.createStream()]
    device.synchronize()
    const events = new Map<Graph<void>, Set<unknown>>()
    for (let round = 0; round < 10; round++) {
      for (const [index, graph] of graphs.entries()) {
        const calls = double.log(() => graph.launch(streams[(round + index) % 2]))
        const recorded = calls.flatMap(([name, event]) => (name === "cuEventRecord" ? [event] : []))
        assert.equal(recorded.length, 1)
        events.set(graph, new Set([...(events.get(graph) ?? []), ...recorded]))
      }
    }
    assert.deepEqual(
      [...events.values()].map(({ size }) => size),
      [1, 1, 1],
    )
    assert.equal(new Set([...events.values()].flatMap((own) => [...own])).size, 3)
    device.synchronize()
    assert.equal(x.readSync()[0], 30)
    for (const one of [...graphs, ...streams]) one.dispose()
  })
})

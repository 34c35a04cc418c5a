/** Launches of graphs on several streams by independent callers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, type Device, type DeviceArray } from "../../src/index.js"
import { KernelError } from "../../src/common/errors.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { affine, once, prepare, throwing } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const change = (x: DeviceArray<"int32">, a: number, b: number) => affine.launch(once, 1, x, a, b)

const doubling = (x: DeviceArray<"int32">) => captureGraph(() => change(x, 2, 1))

/** Two graphs that double x and add one: one graph twice, or two graphs that share x. */
const pairs = {
  "the same graph": (x: DeviceArray<"int32">) => {
    const graph = doubling(x)
    return [graph, graph] as const
  },
  "graphs that share an array": (x: DeviceArray<"int32">) => [doubling(x), doubling(x)] as const,
}

type Pair = ReturnType<(typeof pairs)[keyof typeof pairs]>

/** Calls `body` with a pair of graphs over an array that holds 1. */
async function withGraphs(
  device: Device,
  kind: keyof typeof pairs,
  body: (x: DeviceArray<"int32">, ...graphs: Pair) => void,
): Promise<void> {
  await prepare(device)
  using x = device.full("int32", 1, 1)
  device.synchronize()
  const graphs = pairs[kind](x)
  body(x, ...graphs)
  for (const graph of new Set(graphs)) graph.dispose()
}

const kinds = ["the same graph", "graphs that share an array"] as const

forEachOpenDevice("launches of graphs on several streams", (open) => {
  for (const kind of kinds) {
    test(`§5 rule 12 ${kind}: a launch waits for the earlier launch, not for what its stream has queued since`, async () => {
      using device = open()
      await withGraphs(device, kind, (x, graph, other) => {
        using first = device.createStream()
        using second = device.createStream()
        using latch = new Latch(device)
        graph.launch(first)
        latch.hold(first)
        other.launch(second)
        second.synchronize()
        assert.equal(first.query(), false)
        latch.open()
        assert.equal(latch.timedOut, false)
        assert.deepEqual([...second.run(() => x.readSync())], [7])
      })
    })

    test(`§7 ${kind}: launches run one after another, on whatever streams`, async () => {
      using device = open()
      await withGraphs(device, kind, (x, graph, other) => {
        using first = device.createStream()
        using second = device.createStream()
        using latch = new Latch(device)
        latch.hold(first)
        graph.launch(first)
        other.launch(second)
        assert.equal(second.query(), false)
        latch.open()
        // Work after the launch on the second stream runs after the first launch, too.
        assert.deepEqual([...second.run(() => x.readSync())], [7])
        for (let count = 0; count < 20; count++)
          (count % 2 === 0 ? graph : other).launch(count % 3 === 0 ? first : second)
        device.synchronize()
        let expected = 7
        for (let count = 0; count < 20; count++) expected = (expected * 2 + 1) | 0
        assert.deepEqual([...x.readSync()], [expected])
      })
    })
  }
})

onHost("launches of graphs on several streams, one of which breaks", (open) => {
  for (const kind of kinds) {
    test(`§5 rule 12 ${kind}: a failure behind the earlier launch breaks no other stream`, async () => {
      using device = open()
      await withGraphs(device, kind, (x, graph, other) => {
        const first = device.createStream()
        using second = device.createStream()
        using latch = new Latch(device)
        graph.launch(first)
        latch.hold(first)
        throwing.launch({ ...once, stream: first }, 1)
        other.launch(second)
        latch.open()
        assert.throws(() => first.synchronize(), KernelError)
        second.synchronize()
        assert.deepEqual([...second.run(() => x.readSync())], [7])
        first.dispose()
      })
    })

    test(`§5 rule 12 ${kind}: a skipped launch breaks the launch after it`, async () => {
      using device = open()
      await withGraphs(device, kind, (_x, graph, other) => {
        const first = device.createStream()
        const second = device.createStream()
        using latch = new Latch(device)
        latch.hold(first)
        throwing.launch({ ...once, stream: first }, 1)
        graph.launch(first)
        other.launch(second)
        latch.open()
        assert.throws(() => second.synchronize(), KernelError)
        first.dispose()
        second.dispose()
      })
    })
  }
})

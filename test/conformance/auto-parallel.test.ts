import assert from "node:assert/strict"
import { test } from "node:test"
import {
  autoParallel,
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  inOrder,
  type PlacementReport,
} from "../../src/index.js"
import { forEachDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

type Ints = DeviceArray<"int32">

/** Calls a function in a region. @returns what the region tells of it */
function placed(fn: () => void, streams?: number): PlacementReport {
  let report: PlacementReport | undefined
  autoParallel(fn, { streams, explain: (placement) => (report = placement) })
  assert.ok(report !== undefined)
  return report
}

/** The streams of the operations. */
function streamsOf({ operations }: PlacementReport): number[] {
  return operations.map(({ stream }) => stream)
}

/** `x = x * a + b` */
function step(x: Ints, a = 3, b = 1): void {
  affine.launch(over(x.length), x.length, x, a, b)
}

/** `y = y * 3 + x` */
function mix(x: Ints, y: Ints): void {
  combine.launch(over(x.length), x.length, x, y)
}

/** Arrays of 4 elements with the values 1, 2 and so on. */
function arrays(device: Device): readonly [Ints, Ints, Ints, Ints] {
  const make = (value: number) => device.full("int32", 4, value)
  return [make(1), make(2), make(3), make(4)]
}

/** The first elements. */
function firsts(list: readonly Ints[]): (number | undefined)[] {
  return list.map((x) => x.readSync()[0])
}

/** Two branches from x, joined in z. */
function diamond([x, y0, y1, z]: readonly [Ints, Ints, Ints, Ints]): void {
  step(x)
  mix(x, y0)
  mix(x, y1)
  mix(y0, z)
  mix(y1, z)
}

forEachDevice("autoParallel", (open) => {
  test("§14 where: an operation follows its newest predecessor, the next branch gets a stream of its own", () => {
    using device = open()
    const all = arrays(device)
    const report = placed(() => diamond(all))
    assert.deepEqual(streamsOf(report), [0, 0, 1, 0, 0])
    assert.deepEqual(
      report.operations.map(({ edges }) =>
        edges.map(({ from, by, earlier, later }) => `${from} ${by} ${earlier} ${later}`),
      ),
      [
        [],
        ["0 stream write read"],
        ["0 wait write read"],
        ["1 stream write read"],
        ["3 stream write write", "2 wait write read"],
      ],
    )
    assert.deepEqual(firsts(all), [4, 10, 13, (4 * 3 + 10) * 3 + 13])
  })

  test("§14 where: independent operations run at the same time, dependent ones wait", () => {
    using device = open()
    using latch = new Latch(device)
    const [x, y, z] = arrays(device)
    device.synchronize()
    let first: Promise<unknown> | undefined
    autoParallel(() => {
      inOrder(() => {
        latch.hold()
        step(x)
      })
      mix(x, z)
      step(y)
      first = y.read()
    })
    void first
    assert.equal(isHeld(currentStream(device)), true)
    latch.open()
    assert.deepEqual(firsts([x, y, z]), [4, 7, 13])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: in a capture the same program becomes a graph with branches", () => {
    using device = open()
    const all = arrays(device)
    using graph = captureGraph(() => autoParallel(() => diamond(all)))
    assert.equal(graph.branchCount, 2)
    assert.deepEqual(graph.edges, [
      [0, 1],
      [0, 2],
      [1, 3],
      [3, 4],
      [2, 4],
    ])
    graph.launch()
    assert.deepEqual(firsts(all), [4, 10, 13, (4 * 3 + 10) * 3 + 13])
  })

  test("§14 where: arrays made and disposed of inside share memory, and nothing is lost", () => {
    using device = open()
    const n = 1000
    using x = device.full("int32", n, 1)
    const layer = (from: Ints): Ints => {
      const a = device.zeros("int32", n)
      const b = device.full("int32", n, 1)
      mix(from, a)
      mix(from, b)
      const c = device.empty("int32", n)
      c.copyFrom(a)
      mix(b, c)
      a.dispose()
      b.dispose()
      return c
    }
    const run = () => {
      let y: Ints = x
      for (let index = 0; index < 24; index++) {
        const next = layer(y)
        if (y !== x) y.dispose()
        y = next
      }
      return y
    }
    device.resetPeakMemory()
    const base = device.memory.used
    using expected = run()
    device.synchronize()
    const sequential = device.memory.peak - base
    const values = expected.readSync()
    device.resetPeakMemory()
    const base2 = device.memory.used
    using result = autoParallel(run)
    const parallel = device.memory.peak - base2
    assert.deepEqual(result.readSync(), values)
    using graph = captureGraph(() => autoParallel(run))
    graph.launch()
    assert.deepEqual(graph.result.readSync(), values)
    assert.ok(parallel <= 2 * sequential, `${parallel} against ${sequential}`)
  })
})

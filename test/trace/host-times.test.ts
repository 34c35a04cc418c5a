import assert from "node:assert/strict"
import { describe, it } from "node:test"
import {
  captureGraph,
  type Device,
  executeInParallel,
  openDevice,
  parallel,
  runWhile,
  startTrace,
  type TraceData,
} from "../../src/index.js"
import { now, sleep } from "../../src/common/timers.js"
import { affine, latch as latchKernel, once, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { latchLimit } from "../support/latch-flags.js"
import { HostDriver } from "../../src/host/driver.js"

/** The host device whatever `AUXSTREAM_TEST_DEVICE` says. */
const open = (threads = 4): Device => openDevice("host", { threads })

function nodesOf({ spans }: TraceData): string[] {
  return spans.filter(({ kind }) => kind === "node").map(({ name, iteration }) => `${name} ${iteration ?? "once"}`)
}

describe("§12 times of the host device", () => {
  it("a full ring loses records, delays nothing, and every lost one is counted", async () => {
    using device = open()
    const [x, latch] = [device.zeros("int32", 1), new Latch(device)]
    device.synchronize()
    const trace = startTrace({ capacity: 64 })
    latch.hold(device.defaultStream)
    latch.waitUntilEntered()
    for (let index = 0; index < 500; index++) affine.launch(once, 1, x, 1, 1)
    latch.open()
    // Nothing empties the rings meanwhile, because this thread is blocked.
    device.synchronize()
    const { data } = await trace.stop()
    const lost = data.devices[0]?.lost ?? 0
    assert.equal(data.spans.length + lost, 501)
    // A ring of each worker, at most.
    assert.ok(lost >= 501 - 4 * 64 && data.spans.length >= 64, `${lost}`)
    assert.deepEqual([...x.readSync()], [500])
  })

  it("rings are emptied while the program queues without a pause", async () => {
    using device = open()
    const x = device.zeros("int32", 1)
    const trace = startTrace({ capacity: 256 })
    for (let index = 0; index < 4000; index++) {
      affine.launch(once, 1, x, 1, 1)
      if (index % 100 === 99) device.synchronize()
    }
    const { data } = await trace.stop()
    assert.equal(data.devices[0]?.lost, 0)
    assert.equal(data.spans.filter(({ kind }) => kind === "kernel").length, 4000)
  })

  it("each iteration of a loop in a graph is a node of its own", async () => {
    using device = open()
    const [count, x] = [device.from(Int32Array.of(3)), device.zeros("int32", 1)]
    using graph = captureGraph(
      () => {
        x.fill(1)
        runWhile(count, () => {
          affine.launch(once, 1, x, 2, 0)
          affine.launch(once, 1, count, 1, -1)
        })
      },
      { device },
    )
    const trace = startTrace()
    graph.launch()
    const { data } = await trace.stop()
    const round = (iteration: number) => [`test_affine ${iteration}`, `test_affine ${iteration}`]
    assert.deepEqual(nodesOf(data), ["fill once", ...round(0), ...round(1), ...round(2)])
    assert.deepEqual([...x.readSync()], [8])
  })

  it("the branches of a graph are streams of their own", async () => {
    using device = open()
    const [x, y] = [device.zeros("int32", 64), device.zeros("int32", 64)]
    using graph = captureGraph(
      () => {
        parallel([() => affine.launch(over(64), 64, x, 3, 1), () => affine.launch(over(64), 64, y, 3, 1)])
        affine.launch(over(64), 64, x, 3, 1)
      },
      { device },
    )
    const trace = startTrace()
    for (let index = 0; index < 20; index++) graph.launch()
    const { data } = await trace.stop()
    assert.equal(nodesOf(data).length, 60)
    assert.equal(data.devices[0]?.lost, 0)
    const branch = data.streams.findIndex(({ id }) => id === undefined)
    assert.equal(data.spans.filter(({ stream }) => stream === branch).length, 20)
    for (const { parent, start, end } of data.spans.filter(({ kind }) => kind === "node")) {
      const launch = data.spans[parent ?? -1]
      assert.ok(launch !== undefined && start >= launch.start && end <= launch.end)
    }
  })

  it("nodes of a graph that find the ring full are lost, and counted", async () => {
    using device = open()
    const [x, latch] = [device.zeros("int32", 1), new Latch(device)]
    using graph = captureGraph(
      () => {
        for (let index = 0; index < 200; index++) affine.launch(once, 1, x, 1, 1)
      },
      { device },
    )
    const trace = startTrace({ capacity: 64 })
    latch.hold(device.defaultStream)
    latch.waitUntilEntered()
    graph.launch()
    latch.open()
    device.synchronize()
    const { data } = await trace.stop()
    const lost = data.devices[0]?.lost ?? 0
    // The launch and the latch have a record each, too. Either may be among the lost ones.
    assert.ok(nodesOf(data).length < 200 && lost > 0)
    assert.ok(Math.abs(nodesOf(data).length + lost - 200) <= 2, `${nodesOf(data).length} nodes, ${lost} lost`)
    assert.deepEqual([...x.readSync()], [200])
  })

  it("a graph whose run by one worker is interrupted keeps the times of all its nodes", async () => {
    using device = open(3)
    const [flags, done] = [device.pinned("int32", 3), device.pinned("int32", 1)]
    using aux = device.createStream()
    using graph = captureGraph(
      () => {
        const beside = () => affine.launch(once, 1, done, 1, 1)
        executeInParallel(
          () => latchKernel.launch(once, flags, latchLimit),
          [beside],
          device.createEvent(),
          [device.createEvent()],
          [aux],
        )
      },
      { device },
    )
    // While the latch is open, the graph is so short that one worker runs it alone.
    Atomics.store(flags.array, 0, 1)
    for (let launches = 0; launches < 60; launches++) {
      graph.launch()
      device.synchronize()
    }
    Atomics.store(flags.array, 0, 0)
    const trace = startTrace()
    graph.launch()
    // The other branch ends while the first one is held: several workers run the graph.
    const end = now() + latchLimit
    while (Atomics.load(done.array, 0) === 60 && now() < end) await sleep(1)
    assert.equal(Atomics.load(done.array, 0), 61)
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    const { data } = await trace.stop()
    assert.deepEqual(nodesOf(data).toSorted(), ["test_affine once", "test_latch once"])
    assert.equal(data.devices[0]?.lost, 0)
    for (const array of [flags, done]) array.dispose()
  })

  it("without a trace no queued command has the flag that makes a worker note its times", async () => {
    using device = open()
    const x = device.zeros("int32", 1)
    const launch = () => {
      affine.launch(once, 1, x, 1, 1)
      device.synchronize()
    }
    // The flag is the sign bit, and nothing else in these queues is negative.
    const isAnyTimed = () => {
      assert.ok(device.driver instanceof HostDriver)
      return device.driver.control.words.some((word) => word < 0)
    }
    launch()
    assert.equal(isAnyTimed(), false)
    const trace = startTrace()
    launch()
    assert.equal(isAnyTimed(), true)
    await trace.stop()
  })
})

/**
 * Times from CUPTI, on its double: which operation and which node of a graph each record belongs to, and which thread
 * may use it.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { sharedNow, sleep } from "../../src/common/timers.js"
import { matmul } from "../../src/blas/index.js"
import { type CuptiDevice, CuptiTimeline } from "../../src/cuda/cupti/cupti-timeline.js"
import type { TimedNode, TimelineSink } from "../../src/driver/timeline.js"
import { captureGraph, type Device, openDevice, parallel, runWhile, startTrace } from "../../src/index.js"
import { affine, over, spin } from "../support/kernels.js"
import { Latch, onDouble, takeWarnings } from "./device.js"
import { double, native } from "./double.js"

/** Keeps what a timeline tells. */
class Kept implements TimelineSink {
  readonly times = new Map<number, { start: number; end: number }>()
  readonly nodes: { readonly operation: number; readonly node: TimedNode }[] = []
  readonly strangers: { readonly stream: string; readonly name: string }[] = []
  losses = 0

  ran(operation: number, start: number, end: number): void {
    this.times.set(operation, { start, end })
  }
  nodeRan(operation: number, node: TimedNode): void {
    this.nodes.push({ operation, node })
  }
  strangerRan(stream: string, { name }: { readonly name: string }): void {
    this.strangers.push({ stream, name })
  }
  lost(count: number): void {
    this.losses += count
  }
}

/** A device of which only plain operations are timed. */
function bare(ordinal: number): CuptiDevice {
  const events = (): never => assert.fail("there is no loop")
  return { ordinal, driverMajor: 13, context: 0, enclose: () => {}, events }
}

/** Runs `use` on a device with a timeline. */
async function timed(use: (device: Device, timeline: CuptiTimeline) => void | Promise<void>): Promise<Kept> {
  const kept = new Kept()
  const device = openDevice("cuda:0")
  try {
    const timeline = new CuptiTimeline(bare(0), kept)
    try {
      await use(device, timeline)
      device.synchronize()
    } finally {
      timeline.stop()
    }
  } finally {
    device.dispose()
  }
  return kept
}

/** Queues something as an operation with a number. */
function as(timeline: CuptiTimeline, operation: number, device: Device, queue: () => void): void {
  const { handle } = device.defaultStream
  timeline.begin(operation, Number(handle), "plain")
  queue()
  timeline.end(operation, Number(handle), "plain")
}

onDouble("CUPTI", () => {
  test("§12 a kernel, a copy and a fill have their times on the host's clock", async () => {
    const before = sharedNow()
    const { times, nodes, strangers, losses } = await timed((device, timeline) => {
      const x = device.zeros("int32", 1000)
      const y = device.zeros("int32", 1000)
      as(timeline, 5, device, () => affine.launch(over(1000), 1000, x, 2, 1))
      as(timeline, 6, device, () => void y.copyFrom(x))
      as(timeline, 7, device, () => void x.fill(3))
    })
    assert.deepEqual(
      [...times.keys()].sort((a, b) => a - b),
      [5, 6, 7],
    )
    let last = before
    for (const { start, end } of times.values()) {
      assert.ok(last <= start && start <= end)
      last = start
    }
    assert.ok(last <= sharedNow())
    assert.deepEqual([nodes.length, losses], [0, 0])
    // What was queued outside of operations: the zeros.
    assert.ok(strangers.length >= 1)
  })

  test("§12 each node of each launch of a graph is told with its launch, its kernel and its branch", async () => {
    const { times, nodes } = await timed((device, timeline) => {
      const [x, y] = [device.zeros("int32", 10), device.zeros("int32", 10)]
      const graph = captureGraph(
        () =>
          parallel([
            () => affine.launch(over(10), 10, x, 2, 1),
            () => {
              y.fill(1)
              affine.launch(over(10), 10, y, 2, 1)
            },
          ]),
        { device },
      )
      for (const operation of [1, 2]) as(timeline, operation, device, () => graph.launch())
      device.synchronize()
      graph.dispose()
    })
    assert.equal(times.size, 0)
    for (const operation of [1, 2]) {
      const own = nodes.filter((one) => one.operation === operation).map(({ node }) => node)
      assert.deepEqual(own.map(({ name }) => name).sort(), ["fill", "test_affine", "test_affine"])
      assert.deepEqual(
        [...new Set(own.map(({ branch }) => branch))].sort((a, b) => a - b),
        [0, 1],
      )
      assert.ok(own.every(({ iteration }) => iteration === undefined))
    }
  })

  test("§12 no record is lost when buffers fill up on threads that run no JavaScript", async () => {
    const count = 40_000
    const { times, losses } = await timed((device, timeline) => {
      const x = device.zeros("int32", 1)
      for (let operation = 0; operation < count; operation++) {
        as(timeline, operation, device, () => affine.launch(over(1), 1, x, 1, 1))
      }
    })
    assert.deepEqual([times.size, losses], [count, 0])
  })

  test("§12 work that the library did not queue is told as a stranger's", async () => {
    const { strangers } = await timed((device) => {
      const x = device.zeros("int32", 1)
      device.synchronize()
      const set = native("cuMemsetD32Async", "int", ["uintptr_t", "uint32_t", "size_t", "uintptr_t"])
      assert.equal(set(x.address, 1, 1, Number(device.defaultStream.handle)), 0)
    })
    assert.ok(strangers.some(({ stream, name }) => name === "fill" && /^stream \d+$/.test(stream)))
  })

  test("§12 devices of one thread share CUPTI, each with its own records", async () => {
    double.setDevices(2)
    const [first, second] = [openDevice("cuda:0"), openDevice("cuda:1")]
    const [one, two] = [new Kept(), new Kept()]
    const timelines = [new CuptiTimeline(bare(0), one), new CuptiTimeline(bare(1), two)] as const
    const x = second.zeros("int32", 1)
    as(timelines[1], 4, second, () => affine.launch(over(1), 1, x, 1, 1))
    second.synchronize()
    timelines[0].stop()
    as(timelines[1], 5, second, () => affine.launch(over(1), 1, x, 1, 1))
    second.synchronize()
    timelines[1].stop()
    assert.deepEqual([[...one.times.keys()], [...two.times.keys()]], [[], [4, 5]])
    first.dispose()
    second.dispose()
    double.setDevices(1)
  })

  test("§12 another thread cannot use CUPTI meanwhile, but can afterwards, even if its user was terminated", async () => {
    const timeline = JSON.stringify(new URL("../../src/cuda/cupti/cupti-timeline.js", import.meta.url).href)
    const text = `
      import { parentPort } from "node:worker_threads"
      const { CuptiTimeline } = await import(${timeline})
      try {
        new CuptiTimeline({ ordinal: 0, driverMajor: 13 }, {})
        parentPort.postMessage("started")
      } catch (error) {
        parentPort.postMessage(error.message)
      }
      parentPort.on("message", () => {})`
    const tryElsewhere = async (): Promise<string> => {
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(text)}`))
      const answer = await new Promise<string>((resolve, reject) => {
        worker.once("message", resolve)
        worker.once("error", reject)
      })
      await worker.terminate()
      return answer
    }
    const own = new CuptiTimeline(bare(0), new Kept())
    assert.match(await tryElsewhere(), /another thread/)
    own.stop()
    assert.equal(await tryElsewhere(), "started")
    new CuptiTimeline(bare(0), new Kept()).stop()
  })

  test("§12 CUPTI is unloaded only when nothing runs and no other thread has a device open", async () => {
    const code = `
      import { parentPort } from "node:worker_threads"
      const { openDevice } = await import(${JSON.stringify(new URL("../../src/index.js", import.meta.url).href)})
      const { affine, over } = await import(${JSON.stringify(new URL("../support/kernels.js", import.meta.url).href)})
      const device = openDevice("cuda:0")
      const x = device.zeros("int32", 10)
      for (let index = 0; index < 100; index++) affine.launch(over(10), 10, x, 2, 1)
      parentPort.postMessage("launched")
      parentPort.once("message", () => device.dispose())`
    const device = openDevice("cuda:0")
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
    await once(worker, "message")
    const before = double.count("cuptiFinalize")
    const unloaded = () => double.count("cuptiFinalize") - before
    const trace = startTrace({ times: "cupti" })
    await trace.stop()
    await sleep(60)
    assert.equal(unloaded(), 0)
    const gone = once(worker, "exit")
    worker.postMessage("end")
    await gone
    while (unloaded() === 0) await sleep(5)
    // Now for work of its own, queued after the trace.
    const latch = new Latch(device.driver)
    const stopped = startTrace({ times: "cupti" }).stop()
    latch.hold(device.defaultStream.state.handle)
    await stopped
    await sleep(60)
    assert.equal(unloaded(), 1)
    latch.open()
    device.synchronize()
    while (unloaded() === 1) await sleep(5)
    // It can be used again, and is unloaded at once where nothing runs.
    const again = startTrace({ times: "cupti" })
    const x = device.zeros("int32", 10)
    x.fill(1)
    const { data } = await again.stop()
    assert.equal(data.devices[0]?.times, "cupti")
    assert.equal(data.devices[0].lost, 0)
    assert.equal(unloaded(), 3)
    device.dispose()
    latch.free()
  })

  test("§12 CUPTI that a trace left loaded is not unloaded under the next trace", async () => {
    const device = openDevice("cuda:0")
    const x = device.zeros("int32", 10)
    device.synchronize()
    const latch = new Latch(device.driver)
    const before = double.count("cuptiFinalize")
    const first = startTrace({ times: "cupti" })
    const stopped = first.stop()
    latch.hold(device.defaultStream.state.handle)
    await stopped
    const second = startTrace({ times: "cupti" })
    latch.open()
    device.synchronize()
    await sleep(100)
    assert.equal(double.count("cuptiFinalize"), before)
    affine.launch(over(10), 10, x, 2, 1)
    const { data } = await second.stop()
    // The latch was queued before.
    assert.deepEqual(
      data.spans.map(({ kind, name }) => [kind, name]),
      [
        ["kernel", "test_affine"],
        ["foreign", "test_latch"],
      ],
    )
    assert.equal(double.count("cuptiFinalize"), before + 1)
    device.dispose()
    latch.free()
  })

  test("§12 a trace that stops has all times of its work, while another trace continues and work of it runs", async () => {
    const device = openDevice("cuda:0")
    const x = device.zeros("int32", 10)
    const aux = device.createStream()
    device.synchronize()
    const latch = new Latch(device.driver)
    const [first, second] = [startTrace({ times: "cupti" }), startTrace({ times: "cupti" })]
    affine.launch(over(10), 10, x, 2, 1)
    const stopped = first.stop()
    latch.hold(aux.state.handle)
    latch.waitUntilEntered()
    const { data } = await stopped
    assert.deepEqual([data.spans.map(({ name }) => name), data.devices[0]?.lost], [["test_affine"], 0])
    latch.open()
    device.synchronize() // No trace waits for a stranger's work.
    const later = await second.stop()
    assert.deepEqual(
      later.data.spans.map(({ kind, name }) => [kind, name]),
      [
        ["kernel", "test_affine"],
        ["foreign", "test_latch"],
      ],
    )
    device.dispose()
    latch.free()
  })

  test("§12 a trace with CUPTI has the nodes of graphs, inside the spans of their launches", async () => {
    const device = openDevice("cuda:0")
    const x = device.zeros("int32", 10)
    const graph = captureGraph(() => affine.launch(over(10), 10, x, 2, 1), { device })
    const trace = startTrace({ times: "cupti" })
    graph.launch()
    affine.launch(over(10), 10, x, 2, 1)
    const { data } = await trace.stop()
    graph.dispose()
    device.dispose()
    assert.equal(data.devices[0]?.times, "cupti")
    assert.equal(data.devices[0].lost, 0)
    const kinds = data.spans.map(({ kind, parent }) => [kind, parent !== undefined && data.spans[parent]?.kind])
    assert.deepEqual(kinds, [
      ["graph", false],
      ["node", "graph"],
      ["kernel", false],
    ])
  })

  test("§12 products are operations: their kernels are theirs, although CUPTI links them to nothing", async () => {
    const device = openDevice("cuda:0")
    const [a, b, out] = [0, 1, 2].map(() => device.zeros("float32", 16 * 16))
    assert.ok(a !== undefined && b !== undefined && out !== undefined)
    const multiply = () => matmul({ a, b, out, m: 16, n: 16, k: 16 })
    const aux = device.createStream()
    device.synchronize()
    const trace = startTrace({ times: "cupti" })
    multiply()
    parallel([multiply, () => void b.fill(1)])
    aux.external({ reads: [a] }, () => aux.run(multiply))
    multiply()
    const { data } = await trace.stop()
    const own = data.spans.map(({ kind, stream, start, end }) => [kind, data.streams[stream]?.name, end >= start])
    const other = data.streams.at(-1)?.name
    const expected = ["external", "matmul"].map((kind) => `${kind},${other},true`)
    assert.deepEqual(
      own
        .filter(([kind]) => kind !== "fill")
        .map(String)
        .toSorted(),
      [...expected, ...Array.from({ length: 3 }, () => "matmul,the default stream,true")],
    )
    assert.equal(data.devices[0]?.lost, 0)
    device.dispose()
  })

  test("§12 a loop in a graph lasts until its last iteration, although CUPTI tells about one only", async () => {
    const device = openDevice("cuda:0")
    const count = device.zeros("int32", 1)
    const graph = captureGraph(
      () => {
        count.fill(100)
        runWhile(count, () => {
          affine.launch(over(1), 1, count, 1, -1)
          spin.launch(over(1), 100_000)
        })
      },
      { device },
    )
    device.synchronize()
    const trace = startTrace({ times: "cupti" })
    graph.launch()
    graph.launch()
    const { spans, devices } = (await trace.stop()).data
    const launches = spans.flatMap(({ kind }, index) => (kind === "graph" ? [index] : []))
    for (const index of launches) {
      const recorded = spans.filter(({ parent, name }) => parent === index && name !== "other iterations")
      assert.deepEqual(
        recorded.map(({ name, node }) => [name, node]),
        [
          ["fill", 0],
          ["auxstream_set_condition", 1],
          ["test_affine", undefined],
          ["test_spin", undefined],
          ["auxstream_set_condition", undefined],
        ],
      )
      // The last iteration is recorded, so the others are in the pause before it.
      const others = spans.find(({ parent, name }) => parent === index && name === "other iterations")
      assert.ok(others !== undefined && others.start === recorded[1]?.end && others.end === recorded[2]?.start)
      assert.ok(recorded.every(({ end }) => end <= (spans[index]?.end ?? 0)))
    }
    assert.deepEqual([launches.length, devices[0]?.lost], [2, 0])
    graph.dispose()
    device.dispose()
  })

  test("§12 without CUPTI a trace uses events, with a warning that says what to do", async () => {
    const path = process.env["AUXSTREAM_LIBCUPTI"]
    process.env["AUXSTREAM_LIBCUPTI"] = "/nowhere/libcupti.so"
    const device = openDevice("cuda:0")
    try {
      const trace = startTrace({ times: "cupti" })
      device.zeros("int32", 10).fill(1)
      const { data } = await trace.stop()
      assert.equal(data.devices[0]?.times, "events")
    } finally {
      device.dispose()
      process.env["AUXSTREAM_LIBCUPTI"] = path
    }
    const [warning] = await takeWarnings()
    assert.match(warning?.message ?? "", /events instead of CUPTI: .*AUXSTREAM_LIBCUPTI.*nowhere/)
  })

  test("§12 a process may end while CUPTI is in use", () => {
    const modules = ["../../src/index.js", "../../src/cuda/cupti/cupti-timeline.js", "../support/kernels.js"]
    const [library, timeline, kernels] = modules.map((path) => new URL(path, import.meta.url).href)
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `import { openDevice } from "${library}"
        import { CuptiTimeline } from "${timeline}"
        import { affine, over } from "${kernels}"
        const device = openDevice("cuda:0")
        const timeline = new CuptiTimeline({ ordinal: 0, driverMajor: 13 }, { ran() {} })
        const x = device.full("int32", 100, 1)
        for (let i = 0; i < 20_000; i++) {
          timeline.begin(i, 0, "plain")
          affine.launch(over(100), 100, x, 1, 1)
          timeline.end(i, 0, "plain")
        }
        process.exit(7)`,
      ],
      { encoding: "utf8" },
    )
    assert.equal(status, 7, stderr)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  fork,
  maybeExecuteInParallel,
  parallel,
  startTrace,
  type TraceReport,
  type TraceSpan,
  withMultiStream,
} from "../../src/index.js"
import { now } from "../../src/common/timers.js"
import { forEachDevice, forEachOpenDevice } from "../support/devices.js"
import { affine, latch as latchKernel, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

/** Blocks until a held stream's latch has been open for this long, in milliseconds. */
function pass(milliseconds: number): void {
  const end = now() + milliseconds
  while (now() < end);
}

function spansNamed({ data }: TraceReport, name: string): TraceSpan[] {
  return data.spans.filter((span) => span.name === name)
}

/** The only one. */
function one<T>(list: readonly T[]): T {
  assert.equal(list.length, 1)
  const [first] = list
  assert.ok(first !== undefined)
  return first
}

const ms = 1_000_000

forEachOpenDevice("trace", (open) => {
  test("§12 records when each operation ran: queued before it began, in the order of its stream, within the trace", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const y = device.zeros("int32", 64)
    device.synchronize()
    const trace = startTrace()
    for (let index = 0; index < 5; index++) affine.launch(over(64), 64, x, 3, 1)
    y.copyFrom(x)
    x.fill(7)
    await y.read()
    const { data } = await trace.stop()
    assert.deepEqual(
      data.spans.map(({ kind, name }) => `${kind} ${name}`),
      [...Array.from({ length: 5 }, () => "kernel test_affine"), "copy copy", "fill fill", "read read"],
    )
    let before = 0
    for (const { start, end, queued, bytes = 0 } of data.spans) {
      assert.ok(queued >= 0 && queued <= start && before <= start && start <= end && end <= data.duration + ms)
      assert.ok(bytes >= 256)
      before = end
    }
    assert.deepEqual([data.devices.length, data.devices[0]?.id, data.devices[0]?.lost], [1, device.id, 0])
    x.dispose()
    y.dispose()
  })

  test("§12 overlap by construction: the trace agrees within 2 % with what latches force", async () => {
    const device = open()
    using main = device.createStream({ name: "main" })
    using aux = device.createStream({ name: "aux" })
    using whole = new Latch(device)
    using half = new Latch(device)
    await latchKernel.prepare(device) // Otherwise the first latch would be held for as long as a worker takes to start.
    const trace = startTrace()
    const beforeWhole = now()
    whole.hold(main)
    whole.waitUntilEntered()
    const beforeHalf = now()
    half.hold(aux)
    half.waitUntilEntered()
    // From here on both run, until just before their latches open. What this thread or a worker waits for its core meanwhile, the
    // trace may count or not.
    const begin = now()
    pass(150)
    const middle = now()
    half.open()
    aux.synchronize()
    const afterHalf = now()
    pass(150)
    const end = now()
    whole.open()
    main.synchronize()
    const afterWhole = now()
    const report = await trace.stop()
    const { busy, union, longest, overlap } = report.figures.total
    // The shorter one ran beside the longer one from its begin to its end.
    assert.ok(overlap !== undefined && overlap >= 0.98, `${overlap}`)
    const isWithin = (time: number, least: number, most: number) => {
      assert.ok(time >= least * ms * 0.98 && time <= most * ms * 1.02, `${time} ns, from ${least} to ${most} ms`)
    }
    isWithin(longest, end - begin, afterWhole - beforeWhole)
    isWithin(busy - longest, middle - begin, afterHalf - beforeHalf)
    isWithin(busy - union, middle - begin, afterHalf - beforeHalf)
    isWithin(union, end - begin, afterWhole - beforeWhole)
  })

  test("§12 nothing runs side by side that a wait orders: overlap is 0", async () => {
    const device = open()
    using aux = device.createStream()
    using latch = new Latch(device)
    const x = device.zeros("int32", 64)
    const trace = startTrace()
    latch.hold(device.defaultStream)
    aux.wait(device.defaultStream)
    affine.launch({ ...over(64), stream: aux }, 64, x, 3, 1)
    latch.waitUntilEntered()
    pass(20)
    latch.open()
    const report = await trace.stop()
    assert.equal(report.overlap, 0)
    const [held, behind] = [one(spansNamed(report, latchKernel.name)), one(spansNamed(report, "test_affine"))]
    assert.ok(behind.start >= held.end)
    const wait = one(report.data.waits)
    assert.deepEqual([wait.from.stream, wait.to.stream, wait.sent], [held.stream, behind.stream, true])
    assert.ok(wait.from.time >= held.end && wait.to.time >= wait.from.time && wait.to.time <= behind.start)
    assert.deepEqual(
      report.figures.criticalPath.map((index) => report.data.spans[index]?.name),
      [latchKernel.name, "test_affine"],
    )
    x.dispose()
  })

  test("§12 each fork-join is a region with its mode and reason, and its operations name it and the function", async () => {
    const device = open()
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream({ name: "aux" })]
    const x = device.zeros("int32", 64)
    const y = device.zeros("int32", 64)
    const onX = () => affine.launch(over(64), 64, x, 3, 1)
    const onY = () => affine.launch(over(64), 64, y, 3, 1)
    const trace = startTrace()
    device.defaultStream.run(() => {
      maybeExecuteInParallel(onX, onY, event0, event1, aux)
      withMultiStream(false, () => maybeExecuteInParallel(onX, () => parallel([onX, onY]), event0, event1, aux))
      const forked = fork(onY)
      onX()
      forked.join()
    })
    const { data, figures } = await trace.stop()
    assert.deepEqual(
      data.regions.map(({ name, mode, reason, parent, branch }) => [name, mode, reason, parent, branch]),
      [
        ["maybeExecuteInParallel", "parallel", "parallel", undefined, undefined],
        ["maybeExecuteInParallel", "sequential", "disabled", undefined, undefined],
        ["parallel", "sequential", "disabled", 1, 1],
        ["fork", "parallel", "parallel", undefined, undefined],
      ],
    )
    const kernels = data.spans.filter(({ kind }) => kind === "kernel")
    assert.deepEqual(
      kernels.map(({ region, branch }) => [region, branch]),
      [
        [0, 0],
        [0, 1],
        [1, 0],
        [2, 0],
        [2, 1],
        [3, 1],
        [undefined, undefined],
      ],
    )
    for (const { ran, called, streams } of data.regions) {
      assert.ok(ran !== undefined && ran.start <= ran.end && called.start <= called.end && streams.length > 0)
    }
    assert.equal(figures.regions.length, 4)
    assert.equal(
      figures.regions[3]?.busy,
      (kernels[5]?.end ?? 0) - (kernels[5]?.start ?? 0) + (kernels[6]?.end ?? 0) - (kernels[6]?.start ?? 0),
    )
    for (const made of [x, y, aux, event0, event1]) made.dispose()
  })

  test("§12 a launch of a graph is an operation; nodes that are known lie inside it", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const y = device.zeros("int32", 64)
    using graph = captureGraph(
      () => {
        affine.launch(over(64), 64, x, 3, 1)
        parallel([() => affine.launch(over(64), 64, x, 3, 1), () => affine.launch(over(64), 64, y, 3, 1)])
      },
      { device },
    )
    const trace = startTrace()
    graph.launch()
    graph.launch()
    const { data } = await trace.stop()
    const launches = data.spans.flatMap(({ kind }, index) => (kind === "graph" ? [index] : []))
    assert.equal(launches.length, 2)
    for (const launch of launches) {
      const nodes = data.spans.filter(({ parent }) => parent === launch)
      assert.equal(nodes.length, device.kind === "host" ? 3 : 0)
      for (const { start, end, kind, name } of nodes) {
        assert.deepEqual([kind, name], ["node", "test_affine"])
        assert.ok(start >= (data.spans[launch]?.start ?? NaN) && end <= (data.spans[launch]?.end ?? NaN))
      }
    }
    x.dispose()
    y.dispose()
  })

  test("§12 a capture that is made while a trace runs is no operation, and its graph gets no node more", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const capture = () => captureGraph(() => affine.launch(over(64), 64, x, 3, 1), { device })
    using before = capture()
    const trace = startTrace()
    using graph = capture()
    assert.equal(graph.nodeCount, before.nodeCount)
    const { data } = await trace.stop()
    assert.deepEqual([data.spans, data.cost.operations], [[], 0])
    x.dispose()
  })

  test("§12 a wait starts at the record that it waits for, not at what its stream queued later", async () => {
    const device = open()
    using aux = device.createStream()
    using latch = new Latch(device)
    const x = device.zeros("int32", 64)
    const trace = startTrace()
    affine.launch(over(64), 64, x, 3, 1)
    const event = device.defaultStream.record()
    latch.hold(device.defaultStream)
    device.defaultStream.record()
    latch.waitUntilEntered()
    pass(10)
    aux.wait(event)
    affine.launch({ ...over(64), stream: aux }, 64, x, 5, 1)
    aux.synchronize()
    latch.open()
    const report = await trace.stop()
    const [first, behind] = spansNamed(report, "test_affine")
    const held = one(spansNamed(report, latchKernel.name))
    const wait = one(report.data.waits.filter(({ to }) => to.stream === behind?.stream))
    assert.ok(first !== undefined && behind !== undefined && held.end > behind.end)
    assert.ok(wait.from.time >= first.end && wait.from.time <= held.start + 2 * ms && wait.to.time <= behind.start)
    event.dispose()
    x.dispose()
  })

  test("§12 the host's own calls are recorded with their times", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const trace = startTrace()
    device.synchronize()
    x.readSync()
    await x.read()
    await device.completed()
    const { data } = await trace.stop()
    assert.deepEqual(
      data.calls.map(({ name }) => name),
      ["synchronize", "read", "read", "completed"],
    )
    for (const { start, end } of data.calls) assert.ok(start >= 0 && start <= end && end <= data.duration)
    x.dispose()
  })

  test("§12 traces may overlap: each has what was queued between its start and its stop", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const launch = () => affine.launch(over(64), 64, x, 3, 1)
    const first = startTrace()
    launch()
    const second = startTrace()
    launch()
    launch()
    const firstReport = await first.stop()
    launch()
    const secondReport = await second.stop()
    launch()
    assert.equal(await first.stop(), firstReport)
    assert.deepEqual([firstReport.data.spans.length, secondReport.data.spans.length], [3, 3])
    assert.equal(firstReport.data.devices[0]?.lost, 0)
    x.dispose()
  })

  test("§12 the report is plain data for JSON, a text, a page and a file for Perfetto", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const trace = startTrace({ measure: true })
    performance.clearMeasures()
    device.defaultStream.run(() => parallel([() => affine.launch(over(64), 64, x, 3, 1)]))
    const report = await trace.stop()
    const read = JSON.parse(JSON.stringify(report)) as unknown
    assert.deepEqual(read, JSON.parse(JSON.stringify({ ...report.data, figures: report.figures })))
    const lines = report.toString().split("\n")
    assert.match(lines[0] ?? "", /^Trace of .*: 1 operation on 1 stream of 1 device; nothing could overlap$/)
    assert.match(lines[1] ?? "", new RegExp(`^${device.id} \\(times from (workers|events|cupti)\\): busy for `))
    assert.match(lines[3] ?? "", /^parallel {3}sequential \(no-aux-stream\)\s+1\s/)
    assert.match(lines.at(-1) ?? "", /^tracing took .* of the host's time, .* an operation; 0 records lost$/)
    assert.ok(report.toHtml().startsWith("<!doctype html>") && report.toPerfetto().length > 100)
    const measure = one(performance.getEntriesByName("auxstream parallel"))
    const region = one(report.data.regions)
    assert.ok(Math.abs(measure.duration - ((region.ran?.end ?? 0) - (region.ran?.start ?? 0)) / ms) < 0.001)
    x.dispose()
  })

  test("§12 a trace that starts while another one is being stopped loses nothing", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const launch = () => affine.launch(over(64), 64, x, 3, 1)
    for (let trial = 0; trial < 10; trial++) {
      const first = startTrace()
      launch()
      const stopped = first.stop()
      const second = startTrace()
      launch()
      if (trial % 2 === 0) await stopped
      launch()
      const { data } = await second.stop()
      assert.deepEqual([data.spans.length, data.devices[0]?.lost], [2, 0])
      assert.equal((await stopped).data.spans.length, 1)
    }
    x.dispose()
  })

  test("§12 stop() waits for what was queued before it, also on a stream that was disposed of, and for nothing later", async () => {
    const device = open()
    const [latch, later] = [new Latch(device), new Latch(device)]
    const aux = device.createStream()
    const trace = startTrace()
    latch.hold(aux)
    aux.dispose()
    const stopped = trace.stop()
    later.hold(device.defaultStream)
    latch.waitUntilEntered()
    pass(5)
    latch.open()
    const report = await stopped
    const held = one(spansNamed(report, latchKernel.name))
    assert.ok(held.end > 4 * ms && report.data.duration >= held.end, "the trace lasts until its work has run")
    assert.equal(report.data.devices[0]?.lost, 0)
    later.open()
    for (const made of [latch, later]) made[Symbol.dispose]()
  })

  test("§12 nothing is observed once the last trace has stopped", unsanitized, async () => {
    const device = open()
    await startTrace().stop()
    assert.equal(device.order.isWatched, false)
  })

  test("§12 a trace tells the cost of tracing and the records that were lost, and loses no order of the program", async () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const trace = startTrace({ limit: 10 })
    for (let index = 0; index < 20; index++) affine.launch(over(64), 64, x, 3, 1)
    const values = await x.read()
    const report = await trace.stop()
    const expected = Array.from({ length: 20 }).reduce<number>((value) => Math.imul(value, 3) + 1, 0)
    assert.equal(values[0], expected)
    assert.equal(report.data.spans.length, 10)
    assert.equal(report.data.devices[0]?.lost, 11)
    assert.ok(report.data.cost.total > 0)
    assert.match(report.toString(), /tracing took .*; 11 records lost/)
    x.dispose()
  })
})

forEachDevice("trace", (open) => {
  test("§12 a device that is opened and disposed of while a trace runs is in it", async () => {
    const trace = startTrace()
    const device = open()
    const x = device.zeros("int32", 64)
    affine.launch(over(64), 64, x, 3, 1)
    device.synchronize()
    device.dispose()
    const report = await trace.stop()
    assert.equal(spansNamed(report, "test_affine").length, 1)
    assert.equal(report.data.devices[0]?.id, device.id)
  })
})

/** Fork-joins inside graphs, as a trace shows them. Where the nodes of graphs are not known, there are none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  type Device,
  fork,
  type Graph,
  parallel,
  runIf,
  startTrace,
  type TraceRegion,
  type TraceReport,
  type TraceSpan,
  withMultiStream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { add, affine, combine, fill, over, spin } from "../support/kernels.js"
import { ScriptedPolicy } from "../support/scripted-policy.js"

const LENGTH = 64

/** Arrays for kernels that can be told apart by their names. */
class Work {
  readonly #x
  readonly #y
  readonly #a
  readonly #b

  constructor(device: Device) {
    this.#x = device.zeros("int32", LENGTH)
    this.#y = device.zeros("int32", LENGTH)
    this.#a = device.zeros("float32", LENGTH)
    this.#b = device.zeros("float32", LENGTH)
    device.synchronize()
  }

  affine = () => affine.launch(over(LENGTH), LENGTH, this.#x, 3, 1)
  combine = () => combine.launch(over(LENGTH), LENGTH, this.#x, this.#y)
  fill = () => fill.launch(over(LENGTH), LENGTH, 1, this.#a)
  add = () => add.launch(over(LENGTH), LENGTH, this.#a, this.#a, this.#b)
  spin = () => spin.launch(over(1), 10)
}

/** The trace of a function; undefined if the device does not tell about nodes. */
async function traced(device: Device, run: () => void): Promise<TraceReport | undefined> {
  const trace = startTrace({ times: "cupti" })
  run()
  const report = await trace.stop()
  const hasNodes = report.data.devices.find(({ id }) => id === device.id)?.times !== "events"
  assert.ok(hasNodes || process.env["AUXSTREAM_LIBCUPTI"] === undefined)
  return hasNodes ? report : undefined
}

/** For each node, in the order of capture: its name, and the functions that it was captured in, the innermost first. */
function whereabouts({ data: { spans, regions } }: TraceReport): string[] {
  const nodes = spans.filter(({ kind }) => kind === "node").toSorted((a, b) => (a.node ?? 99) - (b.node ?? 99))
  return nodes.map((node) => [node.name, ...functionsAround(node, regions)].join(" < "))
}

function functionsAround({ region: innermost, branch: part }: TraceSpan, regions: readonly TraceRegion[]): string[] {
  const found: string[] = []
  let branch = part
  for (let region = innermost; region !== undefined; region = regions[region]?.parent) {
    found.push(`${regions[region]?.name} ${branch ?? "between"}`)
    branch = regions[region]?.branch
  }
  return found
}

function launchTwice(graph: Graph<unknown>): void {
  graph.launch()
  graph.launch()
}

forEachOpenDevice("fork-joins in graphs", (open) => {
  test("§12 each launch has its own fork-joins, with what they gained; their branches wait for each other as captured", async () => {
    const device = open()
    const work = new Work(device)
    using graph = captureGraph(
      () => {
        work.affine()
        parallel([work.combine, () => [work.fill(), work.add()]])
        work.spin()
      },
      { device },
    )
    const report = await traced(device, () => launchTwice(graph))
    if (report === undefined) return
    const { spans, regions, waits } = report.data
    assert.deepEqual(
      whereabouts(report),
      [
        "test_affine",
        "test_combine < parallel 0",
        "test_fill < parallel 1",
        "test_add < parallel 1",
        "test_spin",
      ].flatMap((one) => [one, one]),
    )
    const launches = spans.flatMap(({ kind }, index) => (kind === "graph" ? [index] : []))
    assert.deepEqual(
      regions.map(({ graph: launch, mode, reason, parent }) => [launch, mode, reason, parent]),
      launches.map((launch) => [launch, "parallel", "parallel", undefined]),
    )
    regions.forEach(({ ran, streams, called }, index) => {
      const own = spans.filter(({ region }) => region === index)
      assert.deepEqual(
        [ran?.start, ran?.end],
        [Math.min(...own.map((one) => one.start)), Math.max(...own.map((one) => one.end))],
      )
      assert.deepEqual(new Set(streams), new Set(own.map(({ stream }) => stream)))
      assert.equal(streams[0], own.find(({ branch }) => branch === 0)?.stream)
      assert.equal(called.start, called.end)
      const { gained, busy, union } = report.figures.regions[index] ?? {}
      assert.equal(gained, (busy ?? 0) - (union ?? 0))
    })
    for (const wait of waits.filter(({ region }) => region !== undefined)) {
      assert.notEqual(wait.from.stream, wait.to.stream)
      const before = spans.find(
        ({ stream, end, parent }) => stream === wait.from.stream && end === wait.from.time && parent !== undefined,
      )
      assert.ok(before !== undefined && wait.to.time >= wait.from.time)
    }
    // Where both branches have a lane, the main one waits at the end, and the other one at the beginning.
    if (regions.every(({ streams }) => streams.length > 1)) {
      assert.equal(waits.filter(({ region }) => region !== undefined).length, 2 * regions.length)
    }
    assert.match(report.toString(), /^parallel, in graphs +parallel +2 /m)
  })

  test("§12 a graph launched inside a function of a fork-join: its own fork-joins are inside of that", async () => {
    const device = open()
    const work = new Work(device)
    using graph = captureGraph(() => parallel([work.fill, work.affine]), { device })
    const report = await traced(device, () => parallel([work.spin, () => graph.launch()]))
    if (report === undefined) return
    assert.deepEqual(whereabouts(report), [
      "test_fill < parallel 0 < parallel 1",
      "test_affine < parallel 1 < parallel 1",
    ])
    const [outer, inner] = report.data.regions
    assert.ok(outer?.ran !== undefined && inner?.ran !== undefined)
    assert.ok(outer.ran.start <= inner.ran.start && outer.ran.end >= inner.ran.end)
  })

  test("§12 a graph captured while a trace runs, inside a fork-join: only its launches count", async () => {
    const device = open()
    const work = new Work(device)
    const report = await traced(device, () => {
      let graph: Graph<unknown> | undefined
      parallel([
        () => {
          graph = captureGraph(() => withMultiStream(false, () => parallel([work.fill, work.affine])), { device })
        },
        work.spin,
      ])
      graph?.launch()
      graph?.dispose()
    })
    if (report === undefined) return
    assert.deepEqual(whereabouts(report), ["test_fill < parallel 0", "test_affine < parallel 1"])
    const [called, ran] = report.data.regions
    assert.deepEqual(
      [report.data.regions.length, called?.graph, ran?.mode, ran?.reason],
      [2, undefined, "sequential", "disabled"],
    )
    assert.deepEqual(
      report.figures.regions[1]?.lost.map(({ why }) => why),
      ["sequential"],
    )
  })

  test("§12 a fork in a graph runs beside what its caller queued until the join", async () => {
    const device = open()
    const work = new Work(device)
    using graph = captureGraph(
      () => {
        const forked = fork(work.fill)
        work.affine()
        forked.join()
        work.spin()
      },
      { device },
    )
    const report = await traced(device, () => graph.launch())
    if (report === undefined) return
    assert.deepEqual(whereabouts(report), ["test_fill < fork 1", "test_affine", "test_spin"])
    const timed = (name: string) => {
      const span = report.data.spans.find((one) => one.name === name)
      return (span?.end ?? 0) - (span?.start ?? 0)
    }
    assert.equal(report.figures.regions[0]?.busy, timed("test_fill") + timed("test_affine"))
  })

  test("§12 disabled nodes, changed nodes and an update move no other node to another function", async () => {
    const device = open()
    const work = new Work(device)
    const run = () => parallel([() => [work.fill(), work.add()], () => [work.combine(), work.affine()]])
    using graph = captureGraph(run, { device })
    const [first] = graph.nodes
    assert.ok(first !== undefined)
    first.enabled = false
    const some = ["test_add < parallel 0", "test_combine < parallel 1", "test_affine < parallel 1"]
    const disabled = await traced(device, () => graph.launch())
    if (disabled === undefined) return
    assert.deepEqual(whereabouts(disabled), some)
    first.enabled = true
    const all = ["test_fill < parallel 0", ...some]
    const enabled = await traced(device, () => graph.launch())
    assert.deepEqual(enabled && whereabouts(enabled), all)
    graph.update(run)
    const updated = await traced(device, () => graph.launch())
    assert.deepEqual(updated && whereabouts(updated), all)
  })

  test("§12 a conditional inside a function does not move other nodes", async () => {
    const device = open()
    const work = new Work(device)
    const flag = device.full("int32", 1, 1)
    const run = () => parallel([work.fill, () => [runIf(flag, work.combine), work.affine()], work.spin])
    using graph = captureGraph(run, { device })
    const report = await traced(device, () => graph.launch())
    if (report === undefined) return
    const found = whereabouts(report)
    const outside = ["test_fill < parallel 0", "test_affine < parallel 1", "test_spin < parallel 2"]
    assert.deepEqual(
      found.filter((one) => outside.includes(one)),
      outside,
    )
    if (device.kind === "host") assert.ok(found.includes("test_combine < parallel 1"))
  })

  test("§14 where a policy runs a graph one operation after another, its fork-joins ran in sequence", async () => {
    const device = open()
    const work = new Work(device)
    const policy = new ScriptedPolicy()
    const run = () => parallel([work.fill, () => [work.affine(), work.combine()]])
    using graph = captureGraph(run, { device, overlap: policy, key: 1 })
    const report = await traced(device, () => launchTwice(graph))
    if (report === undefined) return
    assert.deepEqual(
      report.data.regions.map(({ mode, reason, policy: note }) => [mode, reason, note?.name]),
      [
        ["parallel", "parallel", "scripted"],
        ["sequential", "policy", "scripted"],
      ],
    )
    const names = ["test_fill < parallel 0", "test_affine < parallel 1", "test_combine < parallel 1"]
    assert.deepEqual(
      whereabouts(report),
      names.flatMap((one) => [one, one]),
    )
    // Both ways ran, so it is known how long the fork-join takes in sequence.
    assert.ok(report.figures.regions.every(({ sequential }) => sequential !== undefined))
  })

  test("§12 a graph with fork-joins inside another graph", async () => {
    const device = open()
    const work = new Work(device)
    using inner = captureGraph(() => parallel([work.fill, work.affine]), { device })
    using graph = captureGraph(() => parallel([work.spin, () => inner.launch()]), { device })
    const report = await traced(device, () => graph.launch())
    if (report === undefined) return
    const found = whereabouts(report)
    assert.ok(found.includes("test_spin < parallel 0"))
    if (device.kind === "host") {
      assert.deepEqual(found.slice(1), ["test_fill < parallel 0 < parallel 1", "test_affine < parallel 1 < parallel 1"])
    }
  })
})

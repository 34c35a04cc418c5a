import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { TraceData, TraceSpan, TraceWait } from "../../../src/trace/data/data.js"
import { toPerfetto } from "../../../src/trace/write/perfetto.js"
import { syntheticTrace } from "../../support/synthetic-trace.js"
import { type ReadSlice, type ReadTrace, readPerfetto } from "./perfetto-reader.js"

const synthetic = syntheticTrace({ spans: 300 })

/** A trace of one device with two streams. */
function traceOf(parts: Partial<TraceData>): TraceData {
  const streams = [
    { device: 0, id: 1, name: "main" },
    { device: 0, id: 2, name: "aux" },
  ]
  return { ...syntheticTrace({ spans: 0 }), streams, spans: [], waits: [], regions: [], calls: [], ...parts }
}

const kernel = (
  name: string,
  stream: number,
  start: number,
  end: number,
  more: Partial<TraceSpan> = {},
): TraceSpan => ({
  ...{ name, stream, start, end, kind: "kernel", queued: 0 },
  ...more,
})

/** The slices of tracks with this name and of those beside it, named by "name (2)". */
function slicesOn(read: ReadTrace, name: string): ReadSlice[] {
  const names = new Map(read.tracks.map((track) => [track.id, track.name.replace(/ \(\d+\)$/, "")]))
  return read.slices.filter((slice) => names.get(slice.track) === name && !slice.isInstant)
}

const shown = ({ name, start, end, depth }: ReadSlice) => `${name} ${start}-${end} depth ${depth}`

describe("§12 the Perfetto file", () => {
  test("has each operation once, on the track of its stream, from its beginning to its end", () => {
    const read = readPerfetto(toPerfetto(synthetic))
    const operations = read.slices.filter((slice) => "operation" in slice.details)
    assert.equal(operations.length, synthetic.spans.length)
    for (const slice of operations) {
      const span = synthetic.spans[Number(slice.details["operation"])]
      const track = read.tracks.find(({ id }) => id === slice.track)
      assert.equal(track?.name.replace(/ \(\d+\)$/, ""), synthetic.streams[span?.stream ?? -1]?.name)
      assert.deepEqual([slice.name, slice.category], [span?.name, span?.kind])
      assert.deepEqual([slice.start, slice.end], [span?.start, span?.end])
      assert.equal(slice.details["queued_ns"], span?.queued)
      assert.equal(slice.details["bytes"], span?.bytes)
    }
  })

  test("leads an arrow from the operation before a record over record and wait to the operation after the wait", () => {
    const waits: TraceWait[] = [{ from: { stream: 0, time: 50 }, to: { stream: 1, time: 60 }, sent: true }]
    const spans = [kernel("before", 0, 10, 50), kernel("other", 1, 20, 40), kernel("after", 1, 60, 80)]
    const { arrows } = readPerfetto(toPerfetto(traceOf({ spans, waits })))
    const named = arrows.map(({ from, to }) => `${from.name} ${from.start} -> ${to.name} ${to.start}`)
    assert.deepEqual(named, ["before 10 -> record 50", "record 50 -> wait 60", "wait 60 -> after 60"])
  })

  test("leads arrows forward even where record and wait have one time, or times of two clocks that differ", () => {
    const waits: TraceWait[] = [
      { from: { stream: 1, time: 50 }, to: { stream: 0, time: 50 }, sent: true },
      { from: { stream: 1, time: 90 }, to: { stream: 0, time: 85 }, sent: false },
    ]
    const { arrows } = readPerfetto(toPerfetto(traceOf({ waits })))
    assert.deepEqual(
      arrows.map(({ from, to }) => `${from.name} -> ${to.name}`),
      ["record -> wait", "record -> wait (skipped)"],
    )
  })

  test("leads an arrow from the call of each fork-join to its operations", () => {
    const read = readPerfetto(toPerfetto(synthetic))
    const called = slicesOn(read, "fork-joins, as called")
    const ran = slicesOn(read, "fork-joins")
    assert.equal(called.length, synthetic.regions.length)
    assert.equal(ran.length, synthetic.regions.filter((region) => region.ran !== undefined).length)
    for (const slice of ran) {
      const arrow = read.arrows.find(({ to }) => to === slice)
      assert.equal(arrow?.from.details["region"], slice.details["region"])
      const region = synthetic.regions[Number(slice.details["region"])]
      assert.deepEqual([slice.details["mode"], slice.details["reason"]], [region?.mode, region?.reason])
      assert.deepEqual([slice.start, slice.end], [region?.ran?.start, region?.ran?.end])
    }
  })

  test("nests the nodes of a graph in its launch, and those of an iteration in the conditional", () => {
    const spans = [
      kernel("graph", 0, 10, 100, { kind: "graph" }),
      kernel("first", 0, 10, 30, { kind: "node", parent: 0 }),
      kernel("while", 0, 30, 100, { kind: "conditional", parent: 0 }),
      kernel("body", 0, 30, 60, { kind: "node", parent: 0, iteration: 0 }),
      kernel("body", 0, 60, 100, { kind: "node", parent: 0, iteration: 1 }),
    ]
    const slices = slicesOn(readPerfetto(toPerfetto(traceOf({ spans }))), "main")
    const expected = ["graph 10-100 depth 0", "first 10-30 depth 1", "while 30-100 depth 1"]
    assert.deepEqual(slices.map(shown), [...expected, "body 30-60 depth 2", "body 60-100 depth 2"])
  })

  test("puts operations of one stream that overlap on tracks side by side, never one into the other", () => {
    const spans = [kernel("a", 0, 10, 50), kernel("b", 0, 20, 30), kernel("c", 0, 40, 60), kernel("d", 0, 50, 70)]
    const slices = slicesOn(readPerfetto(toPerfetto(traceOf({ spans }))), "main")
    const expected = ["a 10-50 depth 0", "b 20-30 depth 0", "c 40-60 depth 0", "d 50-70 depth 0"]
    assert.deepEqual(slices.map(shown), expected)
  })

  test("keeps operations without length, whatever begins or ends then", () => {
    const spans = [
      kernel("a", 0, 10, 20),
      kernel("empty", 0, 20, 20),
      kernel("b", 0, 20, 30),
      kernel("last", 0, 30, 30),
    ]
    const slices = slicesOn(readPerfetto(toPerfetto(traceOf({ spans }))), "main")
    const expected = ["a 10-20 depth 0", "empty 20-20 depth 0", "b 20-30 depth 0", "last 30-30 depth 0"]
    assert.deepEqual(slices.map(shown), expected)
  })

  test("counts the running operations of each device, nodes instead of their graph", () => {
    const spans = [
      kernel("a", 0, 10, 40),
      kernel("b", 1, 20, 30),
      kernel("graph", 0, 40, 60, { kind: "graph" }),
      kernel("node", 0, 45, 60, { kind: "node", parent: 2 }),
    ]
    const { counters } = readPerfetto(toPerfetto(traceOf({ spans })))
    const values = counters.map(({ time, value }) => [time, value])
    assert.deepEqual(values, [
      [10, 1],
      [20, 2],
      [30, 1],
      [40, 0],
      [45, 1],
      [60, 0],
    ])
  })

  test("has the host's calls on tracks of their threads, overlapping ones beside", () => {
    const calls = [
      { name: "read", thread: 0, start: 10, end: 50 },
      { name: "synchronize", thread: 0, start: 20, end: 30 },
      { name: "completed", thread: 0, start: 40, end: 60 },
      { name: "compile", thread: 3, start: 40, end: 60 },
    ]
    const read = readPerfetto(toPerfetto(traceOf({ calls })))
    const onMain = ["read 10-50 depth 0", "synchronize 20-30 depth 1", "completed 40-60 depth 0"]
    assert.deepEqual(slicesOn(read, "main thread").map(shown), onMain)
    assert.deepEqual(slicesOn(read, "worker thread 3").map(shown), ["compile 40-60 depth 0"])
  })

  test("says where times come from, what was lost and what tracing cost", () => {
    const { tracks } = readPerfetto(toPerfetto(synthetic))
    const described = tracks.flatMap((track) => track.description ?? [])
    assert.equal(described.length, 1 + synthetic.devices.length)
    assert.match(described[0] ?? "", /Tracing cost \d+ ns of host time for \d+ operations/)
    assert.equal(described[1], "Times from cupti. The times of 3 operations were lost.")
    assert.equal(described[2], "Times from workers.")
  })

  test("keeps each nanosecond of a long trace", () => {
    const late = 2 ** 52 + 1
    const [slice] = slicesOn(readPerfetto(toPerfetto(traceOf({ spans: [kernel("late", 0, late, late + 3)] }))), "main")
    assert.deepEqual([slice?.start, slice?.end], [late, late + 3])
  })

  test("of an empty trace has no events", () => {
    const read = readPerfetto(toPerfetto(traceOf({})))
    assert.deepEqual([read.slices, read.arrows, read.counters], [[], [], []])
  })
})

import assert from "node:assert/strict"
import { describe, it } from "node:test"
import fc from "fast-check"
import { analyse } from "../../../src/trace/analysis/analyse.js"
import { coverage, gapsOf, type Interval, overlapOf, unionOf } from "../../../src/trace/analysis/intervals.js"
import { leavesOf } from "../../../src/trace/analysis/leaves.js"
import { pathTo } from "../../../src/trace/analysis/path.js"
import { Readinesses } from "../../../src/trace/analysis/readiness.js"
import type { TraceData, TraceRegion, TraceSpan } from "../../../src/trace/data/data.js"

const END = 40
const interval = fc
  .tuple(fc.nat(END), fc.nat(END))
  .map(([a, b]): Interval => ({ start: Math.min(a, b), end: Math.max(a, b) }))
const intervals = fc.array(interval, { maxLength: 12 })

/** The moments that intervals cover, one by one: a model that knows nothing of unions. */
function moments(list: readonly Interval[]): Set<number> {
  const covered = new Set<number>()
  for (const { start, end } of list) for (let at = start; at < end; at++) covered.add(at)
  return covered
}

/** Operations of three streams, one after another on each, queued in some order before they ran. */
const spans = fc.array(
  fc.array(fc.record({ pause: fc.nat(5), length: fc.nat(6), lead: fc.nat(9) }), { minLength: 1, maxLength: 6 }),
  { minLength: 1, maxLength: 3 },
)

function traceOf(lanes: readonly (readonly { pause: number; length: number; lead: number }[])[]): TraceData {
  const list: TraceSpan[] = []
  lanes.forEach((lane, stream) => {
    let time = 0
    for (const { pause, length, lead } of lane) {
      const start = time + pause
      time = start + length
      list.push({ stream, kind: "kernel", name: `k${length}`, queued: Math.max(0, start - lead), start, end: time })
    }
  })
  return { ...empty, streams: lanes.map((_, index) => ({ device: 0, id: index, name: `s${index}` })), spans: list }
}

const empty: TraceData = {
  format: "auxstream-trace",
  version: 1,
  date: "2026-01-01T00:00:00.000Z",
  machine: { node: "v20", platform: "linux x64", cpu: "none", cores: 2 },
  duration: 1000,
  cost: { total: 0, operations: 0 },
  devices: [{ id: "host", kind: "host", name: "none", times: "workers", lost: 0 }],
  streams: [],
  spans: [],
  waits: [],
  regions: [],
  calls: [],
}

describe("§12: all figures come from unions of intervals", () => {
  it("a union covers each moment once, in disjoint intervals", () => {
    fc.assert(
      fc.property(intervals, (list) => {
        const union = unionOf(list)
        assert.deepEqual(
          [...moments(union)],
          [...moments(list)].toSorted((a, b) => a - b),
        )
        assert.equal(coverage(list), moments(list).size)
        for (const [index, { start }] of union.entries()) assert.ok(index === 0 || start > (union[index - 1]?.end ?? 0))
      }),
    )
  })

  it("pauses are the moments between the first and the last that no interval covers", () => {
    fc.assert(
      fc.property(intervals, (list) => {
        const covered = moments(list)
        const [first, last] = [Math.min(...covered), Math.max(...covered)]
        const expected =
          covered.size === 0 ? [] : [...moments([{ start: first, end: last }])].filter((at) => !covered.has(at))
        assert.deepEqual([...moments(gapsOf(list))], expected)
      }),
    )
  })

  it("overlap is (Σ busy − union) ÷ (Σ busy − longest), between 0 and 1", () => {
    fc.assert(
      fc.property(fc.array(intervals, { maxLength: 4 }), (lanes) => {
        const sizes = lanes.map((lane) => moments(lane).size)
        const busy = sizes.reduce((sum, size) => sum + size, 0)
        const longest = Math.max(0, ...sizes)
        const union = moments(lanes.flat()).size
        const figures = overlapOf(lanes)
        assert.deepEqual([figures.busy, figures.union, figures.longest], [busy, union, longest])
        if (busy === longest) return assert.equal(figures.overlap, undefined)
        assert.equal(figures.overlap, (busy - union) / (busy - longest))
        assert.ok(figures.overlap >= 0 && figures.overlap <= 1)
      }),
    )
  })
})

describe("§12: time is split by cause, and nothing is counted twice", () => {
  it("a device's idle time is the sum of its causes", () => {
    fc.assert(
      fc.property(spans, (lanes) => {
        const data = traceOf(lanes)
        const [device] = analyse(data).devices
        const idle = device?.idle ?? { host: NaN, gaps: NaN, waits: NaN, unexplained: NaN }
        assert.equal(idle.host + idle.gaps + idle.waits + idle.unexplained, moments(gapsOf(data.spans)).size)
        for (const part of Object.values(idle)) assert.ok(part >= 0)
      }),
    )
  })

  it("the parts of a path are the time from its beginning to its end", () => {
    fc.assert(
      fc.property(spans, fc.nat(10), (lanes, begin) => {
        const data = traceOf(lanes)
        const leaves = leavesOf(data)
        for (const last of leaves.filter(({ end }) => end > begin)) {
          const { operations, host, latency, unexplained } = pathTo(
            last,
            begin,
            new Readinesses(data, leaves),
            () => undefined,
          )
          assert.equal(operations + host + latency + unexplained, last.end - begin)
          for (const part of [operations, host, latency, unexplained]) assert.ok(part >= 0)
        }
      }),
    )
  })

  it("an operation is ready when it is queued, its predecessor is over and its waits are reached", () => {
    const data: TraceData = {
      ...traceOf([[{ pause: 0, length: 10, lead: 0 }], [{ pause: 30, length: 5, lead: 28 }]]),
      waits: [{ from: { stream: 0, time: 10 }, to: { stream: 1, time: 10 }, sent: true }],
    }
    const leaves = leavesOf(data)
    const readinesses = new Readinesses(data, leaves)
    const last = leaves.find(({ stream }) => stream === 1)
    assert.ok(last !== undefined)
    assert.deepEqual(readinesses.of(last).ready, 10)
    assert.deepEqual(analyse(data).criticalPath, [0, 1])
  })
})

/** A trace with one fork-join whose functions ran these intervals on streams 0 and 1. */
function forkJoin(
  mode: "parallel" | "sequential",
  branches: readonly (readonly (Interval & { queued?: number })[])[],
  at = 0,
): Pick<TraceData, "spans" | "regions"> {
  const list = branches.flatMap((branch, index) =>
    branch.map(({ start, end, queued = 0 }): TraceSpan => {
      const stream = mode === "parallel" ? index : 0
      return {
        stream,
        kind: "kernel",
        name: `k${index}`,
        queued: at + queued,
        start: at + start,
        end: at + end,
        region: 0,
        branch: index,
      }
    }),
  )
  const region: TraceRegion = {
    name: "parallel",
    mode,
    reason: mode === "parallel" ? "parallel" : "disabled",
    called: { start: at, end: at + 1 },
    streams: mode === "parallel" ? [0, 1] : [0],
    device: 0,
  }
  return { spans: list, regions: [region] }
}

const twoStreams = { streams: [0, 1].map((id) => ({ device: 0, id, name: `s${id}` })) }
const ms = 1_000_000

function lossesOf(data: Partial<TraceData>): Record<string, number> {
  const [region] = analyse({ ...empty, ...twoStreams, ...data }).regions
  return Object.fromEntries((region?.lost ?? []).map(({ why, time }) => [why, time]))
}

describe("§12: what each fork-join gained, lost, and why", () => {
  it("equal branches side by side lose nothing and gain the shorter one", () => {
    const data = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: 0, end: ms }]])
    const [region] = analyse({ ...empty, ...twoStreams, ...data }).regions
    assert.deepEqual([region?.gained, region?.lost, region?.overlap], [ms, [], 1])
  })

  it("a branch that the host queued late loses by launch gaps", () => {
    const data = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: ms, end: 2 * ms, queued: ms }]])
    assert.deepEqual(lossesOf(data), { "launch gaps": ms })
  })

  it("an operation that was ready and did not start is unexplained, beyond the usual latency", () => {
    const data = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: ms, end: 2 * ms }]])
    const { unexplained = 0, "launch gaps": gaps = 0 } = lossesOf(data)
    assert.equal(unexplained + gaps, ms)
    assert.ok(unexplained > 0)
  })

  it("a branch that waits for the other one loses by waits", () => {
    const data = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: ms, end: 2 * ms }]])
    const waits = [{ from: { stream: 0, time: ms }, to: { stream: 1, time: ms }, sent: true }]
    assert.deepEqual(lossesOf({ ...data, waits }), { waits: ms })
  })

  it("unequal branches cannot gain more than the shorter one", () => {
    const data = forkJoin("parallel", [[{ start: 0, end: 3 * ms }], [{ start: 0, end: ms }]])
    assert.deepEqual(lossesOf(data), { "unequal branches": ms })
  })

  it("contention is known where both ways ran: a branch is slower beside the other than alone", () => {
    const side = forkJoin("parallel", [[{ start: 0, end: 2 * ms }], [{ start: 0, end: 2 * ms }]])
    assert.equal(lossesOf(side)["contention"], undefined)
    const alone = forkJoin("sequential", [[{ start: 0, end: ms }], [{ start: ms, end: 2 * ms }]], 9 * ms)
    const both = {
      spans: [...side.spans, ...alone.spans.map((span) => ({ ...span, region: 1 }))],
      regions: [...side.regions, ...alone.regions],
    }
    const [region] = analyse({ ...empty, ...twoStreams, ...both }).regions
    assert.equal(region?.sequential, 2 * ms)
    assert.deepEqual(lossesOf(both), { contention: 2 * ms })
  })

  it("a sequential call lost what its shorter functions took", () => {
    const data = forkJoin("sequential", [[{ start: 0, end: ms }], [{ start: ms, end: 4 * ms }]])
    assert.deepEqual(lossesOf(data), { sequential: ms })
  })

  it("operations of inner calls belong to the outer call's function, too", () => {
    const outer = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: 0, end: ms }]])
    const inner: TraceRegion = {
      name: "parallel",
      mode: "sequential",
      reason: "disabled",
      device: 0,
      parent: 0,
      branch: 1,
      called: { start: 0, end: 1 },
      streams: [1],
    }
    const spans_ = outer.spans.map((span) => (span.branch === 1 ? { ...span, region: 1, branch: 0 } : span))
    const { regions } = analyse({ ...empty, ...twoStreams, spans: spans_, regions: [...outer.regions, inner] })
    assert.equal(regions[0]?.gained, ms)
  })

  it("in a graph whose edges are known, each node is ready when those before it are over and the launch has begun", () => {
    const node = (stream: number, start: number, end: number, place: number): TraceSpan => ({
      ...{ stream, kind: "node", name: "k", queued: 0, start, end, parent: 0, node: place, region: 0, branch: stream },
    })
    const launch: TraceSpan = { stream: 0, kind: "graph", name: "graph", queued: 0, start: 0, end: 9 * ms }
    const [region] = forkJoin("parallel", []).regions
    assert.ok(region !== undefined)
    const lostWith = (waits: TraceData["waits"]) =>
      lossesOf({
        spans: [launch, node(0, 0, 2 * ms, 0), node(1, 3 * ms, 4 * ms, 1)],
        regions: [{ ...region, graph: 0 }],
        waits,
      })
    // Without an edge it could have begun with the launch: what exceeds the usual latency has no explanation.
    const { "launch gaps": latency = 0, unexplained = 0, waits = 0 } = lostWith([])
    assert.deepEqual([waits, latency + unexplained], [0, 2 * ms])
    assert.ok(unexplained > ms)
    const behind = lostWith([{ from: { stream: 0, time: 2 * ms }, to: { stream: 1, time: 2 * ms }, sent: true }])
    assert.equal(behind["waits"], ms)
  })

  it("a node without others before it is ready when its launch begins, not when that was queued", () => {
    const node = (stream: number, start: number): TraceSpan => ({
      ...{ stream, kind: "node", name: "k", queued: 0, start, end: start + 1, parent: 0, node: stream },
    })
    const launch: TraceSpan = { stream: 0, kind: "graph", name: "graph", queued: 0, start: 50, end: 90 }
    const data = { ...empty, ...twoStreams, spans: [launch, node(0, 50), node(1, 60)] }
    const leaves = leavesOf(data)
    const readinesses = new Readinesses(data, leaves)
    assert.deepEqual(
      leaves.map((leaf) => readinesses.of(leaf).ready),
      [0, 50],
    )
  })

  it("a fork in a graph has beside it what its caller queued before the join", () => {
    const [first, second] = forkJoin("parallel", [[{ start: 0, end: ms }], [{ start: 0, end: ms }]]).spans
    const [region] = forkJoin("parallel", []).regions
    assert.ok(first !== undefined && second !== undefined && region !== undefined)
    const { region: _, branch: __, ...outside } = first
    const fork: TraceRegion = { ...region, name: "fork", graph: 0, beside: [1] }
    const launch: TraceSpan = { stream: 0, kind: "graph", name: "graph", queued: 0, start: 0, end: ms }
    const nodes = [outside, second].map((one): TraceSpan => ({ ...one, kind: "node", parent: 0 }))
    const { regions } = analyse({ ...empty, ...twoStreams, spans: [launch, ...nodes], regions: [fork] })
    assert.equal(regions[0]?.gained, ms)
  })

  it("a graph's nodes count in place of its launch", () => {
    const node = (stream: number): TraceSpan => ({
      stream,
      kind: "node",
      name: "k",
      queued: 0,
      start: 1,
      end: 5,
      parent: 0,
    })
    const launch: TraceSpan = { stream: 0, kind: "graph", name: "graph", queued: 0, start: 0, end: 9 }
    const { total } = analyse({ ...empty, ...twoStreams, spans: [launch, node(0), node(1)] })
    assert.deepEqual(total, { busy: 8, union: 4, longest: 4, overlap: 1 })
  })
})

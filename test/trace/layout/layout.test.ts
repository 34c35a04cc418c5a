import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { TraceData } from "../../../src/trace/data/data.js"
import { DARK, LIGHT, colorOf } from "../../../src/trace/layout/colors.js"
import { describe as describeItem } from "../../../src/trace/layout/text/describe.js"
import { emphasisOf, isDimmed } from "../../../src/trace/layout/emphasis.js"
import { NARROW, WIDE, place, rowAt } from "../../../src/trace/layout/geometry.js"
import { hitAt } from "../../../src/trace/layout/hit.js"
import { lanesOf } from "../../../src/trace/layout/lanes.js"
import { RelationIndex } from "../../../src/trace/layout/relations.js"
import { find } from "../../../src/trace/layout/search.js"
import { headlineOf, summaryOf } from "../../../src/trace/layout/text/summary.js"
import { ticksOf } from "../../../src/trace/layout/ticks.js"
import {
  formatBytes,
  formatCount,
  formatExactly,
  formatShare,
  formatTime,
} from "../../../src/trace/layout/text/times.js"
import { type View, fit, limitsOf, xAt } from "../../../src/trace/layout/view.js"
import { syntheticFigures, syntheticTrace } from "../../support/synthetic-trace.js"

const data = syntheticTrace({ spans: 200 })
const plain = (text: string | undefined) => text?.replaceAll(/[\u00a0\u202f]/g, " ")

describe("§12 lanes", () => {
  const groups = lanesOf(data)

  test("are grouped by device, with the fork-joins above the streams, and the host's threads last", () => {
    const labels = groups.map(({ label, lanes }) => [label, ...lanes.map((lane) => lane.label)])
    assert.deepEqual(labels, [
      ["cuda:0", "fork-joins", "default stream", "branch 1 of graph decode", "aux", "copies"],
      ["host", "fork-joins", "default stream", "aux"],
      ["Node.js", "main thread", "worker thread 2"],
    ])
  })

  test("of branches come below the stream that launched their graph, wherever it is in the list", () => {
    const swapped: TraceData = {
      ...data,
      streams: data.streams.map((_, index) => data.streams[[0, 2, 1, 3, 4, 5][index] ?? 0] ?? { device: 0, name: "" }),
      spans: data.spans.map((span) => ({ ...span, stream: [0, 2, 1, 3, 4, 5][span.stream] ?? 0 })),
    }
    const labels = lanesOf(swapped)[0]?.lanes.map((lane) => lane.label)
    assert.deepEqual(labels, ["fork-joins", "default stream", "branch 1 of graph decode", "aux", "copies"])
  })

  test("are those of streams that ran something; streams of other libraries are no branches", () => {
    const streams = [...data.streams, { device: 0, name: "never used" }, { device: 0, name: "of another library" }]
    const foreign = { stream: 7, kind: "foreign", name: "work", queued: 0, start: 0, end: 9 } as const
    const lanes = lanesOf({ ...data, streams, spans: [...data.spans, foreign] })[0]?.lanes ?? []
    assert.deepEqual(
      lanes.slice(-2).map((lane) => [lane.label, lane.isBranch]),
      [
        ["copies", false],
        ["of another library", false],
      ],
    )
    assert.deepEqual(
      lanes.filter(({ isBranch }) => isBranch).map(({ label }) => label),
      ["branch 1 of graph decode"],
    )
  })

  test("show each span, region and call once", () => {
    const shown = { span: [] as number[], region: [] as number[], call: [] as number[] }
    for (const { kind, rows } of groups.flatMap(({ lanes }) => lanes))
      for (const { ids } of rows) shown[kind].push(...ids)
    const counts = Object.values(shown).map((ids) => new Set(ids).size)
    assert.deepEqual(counts, [data.spans.length, data.regions.length, data.calls.length])
    assert.deepEqual(
      Object.values(shown).map((ids) => ids.length),
      counts,
    )
  })

  test("show the nodes of a graph in rows below its launch", () => {
    const lane = groups[0]?.lanes.find(({ label }) => label === "default stream")
    const kinds = lane?.rows.map(({ ids }) => [...new Set([...ids].map((id) => data.spans[id]?.kind))])
    assert.ok(kinds?.[0]?.includes("graph") && !kinds[0].includes("node"))
    assert.deepEqual(kinds?.[1], ["node", "conditional"])
    assert.deepEqual(kinds?.[2], ["node"])
  })

  for (const [name, sizes] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    test(`on a ${name} page, whatever is drawn is found by the pointer`, () => {
      const placement = place(groups, sizes)
      const view: View = fit(limitsOf(0, data.duration), 4000)
      for (const placed of placement.lanes) {
        placed.lane.rows.forEach((row, rowIndex) => {
          const y = placed.rowsY + rowIndex * placed.rowHeight + placed.rowHeight / 2
          assert.deepEqual(rowAt(placement, y), { lane: placed, row: rowIndex })
          row.ids.forEach((index, place) => {
            const [start, end] = [row.starts[place] ?? 0, row.ends[place] ?? 0]
            if (xAt(view, end) - xAt(view, start) < 2) return
            const hit = hitAt(placement, view, xAt(view, (start + end) / 2), y)
            assert.deepEqual(hit?.item, { kind: placed.lane.kind, index })
            assert.equal(hit.count, 1)
          })
        })
      }
      assert.equal(hitAt(placement, view, 10, placement.height + 5), undefined)
    })
  }
})

describe("the thing under the pointer", () => {
  test("of boxes too short to be drawn apart is the longest, with their number and their time", () => {
    const span = { stream: 0, kind: "kernel", queued: 0 } as const
    const spans = [10, 30, 20].map((length, index) => ({
      ...span,
      name: `${length}`,
      start: index * 50,
      end: index * 50 + length,
    }))
    const placement = place(lanesOf({ ...data, spans, regions: [], calls: [] }), WIDE)
    const view: View = { from: 0, to: 100_000, width: 100 }
    const hit = hitAt(placement, view, 0, (placement.lanes[0]?.rowsY ?? 0) + 3)
    assert.deepEqual([hit?.item.index, hit?.count, hit?.start, hit?.end], [1, 3, 0, 120])
  })
})

describe("relations of operations", () => {
  const relations = new RelationIndex(data)

  test("lead from before to after and back, on one stream", () => {
    data.spans.forEach((span, index) => {
      const { after } = relations.of(index)
      if (after === undefined) return
      assert.equal(data.spans[after]?.stream, span.stream)
      assert.ok((data.spans[after]?.start ?? 0) >= span.start)
      assert.equal(relations.of(after).before, index)
    })
    const first = data.spans.findIndex(({ name }) => name === "embed")
    assert.equal(data.spans[relations.of(first).after ?? -1]?.name, "query_norm")
  })

  test("lead from what a wait waited for to what waited", () => {
    const index = data.spans.findIndex(({ name }) => name === "key_norm")
    const [wait] = relations.of(index).waitedFor
    const { from, to } = relations.waitEnds[wait ?? -1] ?? {}
    assert.equal(to, index)
    assert.equal(data.spans[from ?? -1]?.name, "embed")
    assert.ok(from !== undefined && wait !== undefined && relations.of(from).waitedBy.includes(wait))
  })
})

describe("emphasis", () => {
  test("counts what stands out in any part of a row", () => {
    const lanes = lanesOf(data).flatMap((group) => group.lanes)
    const hits = find(data, "norm")
    const emphasis = emphasisOf(lanes, hits)
    const isHit = (kind: string, index: number) => hits.some((hit) => hit.kind === kind && hit.index === index)
    for (const { kind, rows } of lanes) {
      for (const row of rows) {
        row.ids.forEach((id, index) => assert.equal(isDimmed(emphasis, row, index, index + 1), !isHit(kind, id)))
        const any = [...row.ids].some((id) => isHit(kind, id))
        assert.equal(isDimmed(emphasis, row, 0, row.ids.length), !any)
        assert.equal(isDimmed(undefined, row, 0, 1), false)
      }
    }
  })
})

describe("searching a trace", () => {
  const namesOf = (text: string) =>
    find(data, text).map(({ kind, index }) => {
      const found = { span: data.spans, region: data.regions, call: data.calls }[kind][index]
      return found?.name
    })

  test("finds operations, fork-joins and calls by parts of their names, in any case, in the order of their times", () => {
    assert.ok(namesOf("GATE_up").every((name) => name?.startsWith("gate_up")))
    assert.equal(namesOf("gate_up").length, data.spans.filter(({ name }) => name.includes("gate_up")).length)
    assert.ok(namesOf("array.read").length > 0)
    const starts = find(data, "e").map(({ kind, index }) => {
      if (kind === "span") return data.spans[index]?.start ?? 0
      return kind === "call" ? (data.calls[index]?.start ?? 0) : (data.regions[index]?.ran?.start ?? 0)
    })
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
    )
  })

  test("finds fork-joins by mode and reason, and operations by kind", () => {
    assert.equal(find(data, "disabled").length, data.regions.filter(({ reason }) => reason === "disabled").length)
    assert.ok(find(data, "upload").every(({ index }) => data.spans[index]?.kind === "upload"))
  })

  test("for nothing finds nothing", () => {
    assert.deepEqual(find(data, "  "), [])
    assert.deepEqual(find(data, "no such name"), [])
  })
})

describe("the axis", () => {
  test("has round times, apart, with units that fit", () => {
    const labelsOf = (from: number, to: number) => ticksOf({ from, to, width: 1000 }, 110).map(({ label }) => label)
    assert.deepEqual(labelsOf(0, 2e6), ["0.0 ms", "0.5 ms", "1.0 ms", "1.5 ms", "2.0 ms"])
    assert.deepEqual(labelsOf(0, 800), [
      "0 ns",
      "100 ns",
      "200 ns",
      "300 ns",
      "400 ns",
      "500 ns",
      "600 ns",
      "700 ns",
      "800 ns",
    ])
    assert.deepEqual(labelsOf(-20, 30).slice(0, 3), ["-20 ns", "-10 ns", "0 ns"])
    assert.equal(labelsOf(1_234_000, 1_234_100)[0], "1.23400 ms")
    for (const length of [50, 777, 12_345, 9e7, 3.6e12]) {
      const ticks = ticksOf({ from: length / 3, to: length * 1.5, width: 1000 }, 110)
      assert.ok(ticks.length >= 2 && ticks.length <= 10, String(ticks.length))
      assert.equal(new Set(ticks.map(({ label }) => label)).size, ticks.length)
    }
  })
})

describe("texts", () => {
  test("of times have three digits, or all of them", () => {
    const shown = [0, 830, 1234, 12_345, 123_456, 1_234_567, 5.6e9].map((time) => plain(formatTime(time)))
    assert.deepEqual(shown, ["0 ns", "830 ns", "1.23 µs", "12.3 µs", "123 µs", "1.23 ms", "5.60 s"])
    assert.equal(plain(formatExactly(1_234_567)), "1.234567 ms")
    assert.equal(plain(formatExactly(42)), "42 ns")
  })

  test("of counts, shares and sizes are short", () => {
    assert.deepEqual(
      [0, 999, 100_050].map((count) => plain(formatCount(count))),
      ["0", "999", "100 050"],
    )
    assert.deepEqual(
      [0, 0.0041, 0.62, 1].map((share) => plain(formatShare(share))),
      ["0 %", "0.4 %", "62 %", "100 %"],
    )
    assert.deepEqual(
      [0, 1000, 1536, 2 ** 31].map((bytes) => plain(formatBytes(bytes))),
      ["0 B", "1000 B", "1.5 KiB", "2.0 GiB"],
    )
  })

  test("of an operation say what it is, when it ran, how long it was queued, and where it belongs", () => {
    const index = data.spans.findIndex(({ name }) => name === "key_norm")
    const { title, subtitle, facts } = describeItem(data, { kind: "span", index })
    assert.deepEqual([title, subtitle], ["key_norm", "kernel on aux, cuda:0"])
    assert.deepEqual(
      facts.map(([name]) => name),
      ["time", "began", "queued", "fork-join", "memory"],
    )
    const node = data.spans.findIndex(({ iteration }) => iteration === 2)
    const ofNode = describeItem(data, { kind: "span", index: node })
    assert.equal(ofNode.subtitle, "node of a graph on default stream, cuda:0")
    assert.deepEqual(ofNode.facts.slice(2), [
      ["graph", "decode"],
      ["iteration", "2"],
    ])
  })

  test("of a fork-join say its mode and reason, its streams, and what it gained and lost", () => {
    const index = data.regions.findIndex(({ mode }) => mode === "parallel")
    const { subtitle, facts } = describeItem(data, { kind: "region", index }, syntheticFigures(data))
    assert.equal(subtitle, "fork-join in parallel, on cuda:0")
    const names = facts.map(([name]) => name)
    assert.deepEqual(names, ["time", "began", "call", "streams", "overlap", "gained", "lost"])
    assert.equal(facts[3]?.[1], "default stream, aux")
  })
})

describe("§12 the figures in words", () => {
  test("say overlap and idle time of each device, what fork-joins gained and lost and why, the losses and the cost", () => {
    const figures = summaryOf(data, syntheticFigures(data)).map(({ value, text, detail }) =>
      plain(`${value} ${text}: ${detail}`),
    )
    assert.equal(
      figures[0],
      "68 % overlap on cuda:0: 13 % idle: host behind 8.2 %, gaps 3.2 %, waits 1.8 %, unexplained 0.2 %",
    )
    assert.match(figures[1] ?? "", /^38 % overlap on host/)
    assert.match(
      figures[2] ?? "",
      /^\d+ µs gained by fork-joins: \d+ fork-joins: \d+ in parallel, \d+ in sequence \(.*\); lost \d+ µs: sequential \d+ µs, launch gaps [\d.]+ µs; unequal branches \d+ µs$/,
    )
    assert.match(
      figures[3] ?? "",
      /^[\d.]+ ms critical path: \d+ operations: \w+ [\d.]+ [µm]s, \w+ [\d.]+ [µm]s, \w+ [\d.]+ [µm]s, …$/,
    )
    assert.equal(figures[4], "3 records lost on cuda:0: These operations are missing here and in the figures.")
    assert.match(figures[5] ?? "", /^310 ns to trace an operation: 62\.0 µs for 200 operations, [\d.]+ % of the trace$/)
    assert.equal(figures.length, 6)
  })

  test("say what was traced", () => {
    const nodes = data.spans.filter(({ parent }) => parent !== undefined).length
    const duration = formatTime(data.duration)
    assert.equal(
      headlineOf(data),
      `${data.spans.length - nodes} operations and ${nodes} nodes of graphs on 5 streams in ${duration}`,
    )
    const [first] = data.spans
    assert.ok(first)
    assert.equal(plain(headlineOf({ ...data, spans: [first], duration: 1500 })), "1 operation on 1 stream in 1.50 µs")
  })

  test("without an analysis still say how fork-joins ran, and what tracing cost", () => {
    const values = summaryOf(data).map(({ value }) => plain(value))
    assert.deepEqual(values, [`${data.regions.length} fork-joins`, "3 records", "310 ns"])
    assert.equal(summaryOf(syntheticTrace({ spans: 0 })).length, 2)
  })
})

describe("colours", () => {
  const luminance = (color: string) => {
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255)
    const [red = 0, green = 0, blue = 0] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const contrast = (a: string, b: string) => {
    const [first, second] = [luminance(a), luminance(b)]
    return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05)
  }

  for (const [name, palette] of Object.entries({ light: LIGHT, dark: DARK })) {
    test(`${name}: text is readable on everything it stands on`, () => {
      for (const color of [...palette.names, palette.memory, palette.holder, palette.call]) {
        assert.ok(contrast(palette.onColor, color) >= 5.4, `${color} ${contrast(palette.onColor, color)}`)
      }
      for (const color of [palette.text, palette.muted, palette.parallel, palette.sequential, palette.selected]) {
        for (const background of [palette.background, palette.raised]) {
          assert.ok(contrast(color, background) >= 4.5, `${color} on ${background} ${contrast(color, background)}`)
        }
      }
    })
  }

  test("operations of one name have one colour, and similar names different ones", () => {
    assert.equal(colorOf(LIGHT, "kernel", "gate_up"), colorOf(LIGHT, "matmul", "gate_up"))
    const layers = Array.from({ length: 40 }, (_, layer) => colorOf(LIGHT, "kernel", `layer_${layer}`))
    assert.ok(new Set(layers).size >= 14)
    assert.equal(colorOf(LIGHT, "copy", "anything"), LIGHT.memory)
  })
})

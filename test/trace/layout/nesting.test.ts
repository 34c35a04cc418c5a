import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { type Interval, familyOfSpans, nest } from "../../../src/trace/layout/nesting.js"

const intervals = fc.array(
  fc.tuple(fc.nat(30), fc.nat(10)).map(([start, length]) => ({ start, end: start + length })),
  { maxLength: 30 },
)

describe("nesting", () => {
  test("places each interval once, and on one track only those that are nested or apart", () => {
    fc.assert(
      fc.property(intervals, fc.func(fc.boolean()), (all, mayHold) => {
        const nested = nest(all, [...all.keys()], { level: () => 0, mayHold })
        assert.deepEqual(
          nested.map(({ index }) => index).sort((a, b) => a - b),
          [...all.keys()],
        )
        const open = new Map<number, Interval[]>()
        for (const { index, track, depth } of nested) {
          const interval = all[index] ?? { start: 0, end: 0 }
          const outer = (open.get(track) ?? []).filter(({ end }) => end > interval.start)
          assert.equal(outer.length, depth)
          for (const { start, end } of outer) assert.ok(start <= interval.start && interval.end <= end)
          open.set(track, [...outer, interval])
        }
      }),
    )
  })

  test("uses no more tracks than intervals run at once", () => {
    fc.assert(
      fc.property(intervals, (some) => {
        const all = some.filter(({ start, end }) => end > start)
        const nested = nest(all, [...all.keys()], { level: () => 0, mayHold: () => false })
        const atOnce = all.map((one) => all.filter(({ start, end }) => start <= one.start && one.start < end).length)
        const tracks = new Set(nested.map(({ track }) => track)).size
        assert.equal(tracks, Math.max(0, ...atOnce))
      }),
    )
  })

  test("a graph holds its nodes even where one begins or ends with it, and is itself without length", () => {
    const node = { stream: 0, kind: "node", name: "node", queued: 0, start: 5, end: 5, parent: 1 } as const
    const spans = [node, { stream: 0, kind: "graph", name: "graph", queued: 0, start: 5, end: 9 } as const]
    const places = nest(spans, [0, 1], familyOfSpans(spans))
    assert.deepEqual(places, [
      { index: 1, track: 0, depth: 0 },
      { index: 0, track: 0, depth: 1 },
    ])
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { TraceData, TraceWait } from "../../../src/trace/data/data.js"
import { WaitIndex } from "../../../src/trace/layout/arrows.js"
import type { View } from "../../../src/trace/layout/view.js"
import { syntheticTrace } from "../../support/synthetic-trace.js"

const view: View = { from: 1000, to: 2000, width: 1000 }
const wait = (from: number, to: number, streams = [0, 1], sent = true): TraceWait => ({
  from: { stream: streams[0] ?? 0, time: from },
  to: { stream: streams[1] ?? 1, time: to },
  sent,
})
const drawnOf = (waits: readonly TraceWait[], isShown: (wait: TraceWait) => boolean = () => true) => {
  const data: TraceData = { ...syntheticTrace({ spans: 0 }), waits }
  return new WaitIndex(data).in(view, isShown).map(({ from, to }) => [from.time, to.time])
}

describe("arrows", () => {
  test("are drawn if any part of them is in view, in the order of their records", () => {
    const waits = [wait(2500, 2600), wait(1900, 2100), wait(500, 3000), wait(1500, 1501, [1, 0]), wait(100, 999)]
    assert.deepEqual(drawnOf(waits), [
      [500, 3000],
      [1500, 1501],
      [1900, 2100],
    ])
  })

  test("of the same two streams are at least nine pixels apart", () => {
    const waits = [wait(1100, 1100), wait(1104, 1104), wait(1104, 1104, [1, 0]), wait(1108, 1108), wait(1109, 1109)]
    assert.deepEqual(drawnOf(waits), [
      [1100, 1100],
      [1104, 1104],
      [1109, 1109],
    ])
  })

  test("are left out where they would hide the lanes, and only there", () => {
    const dense = Array.from({ length: 100 }, (_, n) => wait(1001 + 10 * n, 1001 + 10 * n))
    assert.deepEqual(drawnOf([...dense, wait(1500, 1600, [2, 3])]), [[1500, 1600]])
    assert.equal(drawnOf(dense.slice(0, 80)).length, 80)
  })

  test("are drawn only for waits that the reader wants to see, and never on one stream", () => {
    const waits = [wait(1100, 1200), wait(1300, 1400, [0, 1], false), wait(1500, 1600, [1, 1])]
    assert.deepEqual(
      drawnOf(waits, ({ sent }) => !sent),
      [[1300, 1400]],
    )
    assert.equal(drawnOf(waits).length, 2)
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { type Row, boxesAt, busyShare, forEachBoxes, rowsOf } from "../../../src/trace/layout/rows.js"
import { type View, fit, limitsOf, xAt } from "../../../src/trace/layout/view.js"

/** A row of boxes with gaps, from pairs of lengths. */
function rowOf(pairs: readonly (readonly [gap: number, length: number])[]): Row {
  let time = 0
  const boxes = pairs.map(([gap, length]) => {
    const start = time + gap
    time = start + length
    return { start, end: time }
  })
  const nested = boxes.map((_, index) => ({ index, track: 0, depth: 0 }))
  const [row] = rowsOf(boxes, nested)
  assert.ok(row)
  return row
}

const pairs = fc.array(fc.tuple(fc.nat(40), fc.oneof(fc.nat(3), fc.nat(400))), { minLength: 1, maxLength: 200 })
const rows = pairs.map(rowOf)
const views = fc
  .tuple(fc.nat(8000), fc.integer({ min: 10, max: 8000 }))
  .map(([from, length]): View => ({ from, to: from + length, width: 100 }))

/** The drawn parts, as pairs of indices. */
function drawn(row: Row, view: View): [number, number][] {
  const found: [number, number][] = []
  forEachBoxes(row, view, (first, next) => void found.push([first, next]))
  return found
}

const at = (numbers: Float64Array, index: number) => numbers[index] ?? NaN

describe("rows of boxes", () => {
  test("draw each visible box exactly once, in order", () => {
    fc.assert(
      fc.property(rows, views, (row, view) => {
        const boxes = drawn(row, view).flatMap(([first, next]) =>
          Array.from({ length: next - first }, (_, n) => first + n),
        )
        const visible = [...row.starts.keys()].filter(
          (index) => at(row.ends, index) > view.from && at(row.starts, index) < view.to,
        )
        assert.deepEqual(boxes.slice(0, visible.length), visible)
        // The last column may reach over the edge.
        for (const index of boxes.slice(visible.length)) assert.ok(xAt(view, at(row.starts, index)) < view.width + 2)
      }),
    )
  })

  test("draw a box of two pixels or more alone, and shorter ones with those of the same two pixels only", () => {
    fc.assert(
      fc.property(rows, views, (row, view) => {
        const scale = (view.to - view.from) / view.width
        for (const [first, next] of drawn(row, view)) {
          if (next - first === 1) continue
          for (let index = first; index < next; index++)
            assert.ok(at(row.ends, index) - at(row.starts, index) < 2 * scale)
          const column = Math.floor(at(row.starts, first) / (2 * scale))
          assert.equal(Math.floor(at(row.starts, next - 1) / (2 * scale)), column)
        }
      }),
    )
  })

  test("draw at most as often as there are pixels, of a hundred thousand boxes", () => {
    const row = rowOf(Array.from({ length: 100_000 }, (_, n) => [1 + (n % 3), 5 + (n % 7)] as const))
    const view = fit(limitsOf(0, at(row.ends, 99_999)), 1000)
    assert.ok(drawn(row, view).length <= 501)
  })

  test("find at each pixel the part drawn there", () => {
    fc.assert(
      fc.property(rows, views, fc.integer({ min: 0, max: 99 }), (row, view, x) => {
        const found = boxesAt(row, view, x, 0)
        const hits = drawn(row, view).filter(
          ([first, next]) => xAt(view, at(row.starts, first)) <= x && x < xAt(view, at(row.ends, next - 1)),
        )
        const inside = hits.filter(([first, next]) =>
          Array.from({ length: next - first }, (_, n) => first + n).some(
            (index) => xAt(view, at(row.starts, index)) <= x && x < xAt(view, at(row.ends, index)),
          ),
        )
        if (inside.length > 0) assert.deepEqual([found?.first, found?.next], inside[0])
      }),
    )
  })

  test("find the nearest box beside the pointer, but nothing that is farther than a few pixels", () => {
    const row = rowOf([[100, 100]])
    const view: View = { from: 0, to: 1000, width: 1000 }
    assert.deepEqual(boxesAt(row, view, 98), { first: 0, next: 1 })
    assert.deepEqual(boxesAt(row, view, 202), { first: 0, next: 1 })
    assert.equal(boxesAt(row, view, 96), undefined)
    assert.equal(boxesAt(row, view, 204), undefined)
  })

  test("say how busy a time is, as counting does", () => {
    fc.assert(
      fc.property(rows, fc.nat(3000), fc.integer({ min: 1, max: 500 }), (row, start, length) => {
        const end = start + length
        const counted = [...row.starts.keys()].reduce(
          (sum, index) =>
            sum + Math.max(0, Math.min(at(row.ends, index), end) - Math.max(at(row.starts, index), start)),
          0,
        )
        assert.ok(Math.abs(busyShare(row, start, end) - counted / length) < 1e-9)
      }),
    )
  })
})

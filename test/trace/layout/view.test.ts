import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { type View, fit, limitsOf, pan, reveal, show, timeAt, xAt, zoom } from "../../../src/trace/layout/view.js"

const limits = limitsOf(0, 1e9)
const width = 1000
/** Views that a reader may have reached. */
const views = fc
  .tuple(fc.double({ min: 0.1, max: 1e5, noNaN: true }), fc.nat(width))
  .map(([factor, x]) => zoom(fit(limits, width), factor, x, limits))
const isWithin = ({ from, to }: View) => from >= limits.start - 1e-3 && to <= limits.end + 1e-3 && to > from

describe("the view of a timeline", () => {
  test("zooming keeps the time under the pointer there, unless the end of the trace is in the way", () => {
    fc.assert(
      fc.property(views, fc.double({ min: 1.01, max: 50, noNaN: true }), fc.nat(width), (view, factor, x) => {
        const zoomed = zoom(view, factor, x, limits)
        assert.ok(Math.abs(xAt(zoomed, timeAt(view, x)) - x) < 1e-3)
      }),
    )
  })

  test("never leaves the trace, and never gets shorter than the limit", () => {
    const move = fc.tuple(
      fc.constantFrom("zoom", "pan"),
      fc.double({ min: 0.001, max: 1000, noNaN: true }),
      fc.integer({ min: -5000, max: 5000 }),
    )
    fc.assert(
      fc.property(fc.array(move, { maxLength: 20 }), (moves) => {
        let view = fit(limits, width)
        for (const [kind, factor, pixels] of moves) {
          view = kind === "zoom" ? zoom(view, factor, Math.abs(pixels) % width, limits) : pan(view, pixels, limits)
          assert.ok(isWithin(view), `${view.from} to ${view.to}`)
          assert.ok(view.to - view.from >= limits.shortest - 1e-6)
        }
      }),
    )
  })

  test("moving right shows later times", () => {
    const view = zoom(fit(limits, width), 10, 500, limits)
    assert.ok(Math.abs(pan(view, 100, limits).from - timeAt(view, 100)) < 1e-3)
  })

  test("a range that is shown is in the middle", () => {
    const view = show(fit(limits, width), 5e8, 5.1e8, limits)
    assert.ok(Math.abs(xAt(view, 5e8) - 200) < 1e-6)
    assert.ok(Math.abs(xAt(view, 5.1e8) - 800) < 1e-6)
  })

  test("revealing a time in view changes nothing; otherwise it comes into view", () => {
    fc.assert(
      fc.property(views, fc.nat(999_000_000), fc.nat(1_000_000), (view, start, length) => {
        const revealed = reveal(view, start, start + length, limits)
        if (start >= view.from && start + length <= view.to) assert.equal(revealed, view)
        assert.ok(revealed.from <= start + 1e-3 && revealed.to >= start + length - 1e-3)
      }),
    )
  })

  test("of a trace without length is a view nevertheless", () => {
    const view = fit(limitsOf(0, 0), width)
    assert.ok(view.to > view.from)
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { OverlapDecision } from "../../src/index.js"
import { reportOf } from "../../src/overlap/report.js"

const decision: OverlapDecision = {
  ...{ device: "GPU", call: "eager", key: 1, mode: "parallel", parallel: 10, sequential: 12 },
  ...{ pairs: 16, checks: 0, changes: 0, state: "decided" },
}

/** The lines of a report, without its title and its last line. */
function rowsOf(...decisions: OverlapDecision[]): string[] {
  return reportOf("test", decisions, []).split("\n").slice(1, -2)
}

describe("§14: the report of a policy", () => {
  test("shows the times and the gain that decided", () => {
    assert.deepEqual(rowsOf(decision), [
      "device  call   key  mode      parallel  sequential     gain  pairs  checks  state",
      "GPU     eager  1    parallel   10.0 µs     12.0 µs  1.200 ×     16       0  decided",
    ])
  })

  test("says so if the other mode is faster within the margin, which changes no decision", () => {
    assert.match(rowsOf({ ...decision, parallel: 12.1 })[1] ?? "", / 0\.992 × .* decided, about equal$/)
    assert.match(rowsOf({ ...decision, mode: "sequential" })[1] ?? "", /decided, about equal$/)
    assert.match(rowsOf({ ...decision, mode: "sequential", parallel: 13 })[1] ?? "", /decided$/)
  })

  test("shortens long keys in the middle, so that one of them does not widen every row", () => {
    const [head, short, long] = rowsOf(decision, { ...decision, key: `start${"x".repeat(5000)}end` })
    assert.ok((long?.length ?? Infinity) < 140)
    assert.equal(short?.indexOf("parallel"), head?.indexOf("mode"))
    assert.match(long ?? "", /startx+…x+end /)
  })
})

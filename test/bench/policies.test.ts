import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
import { contest } from "../../bench/eager-decisions.js"
import { goalLines } from "../../bench/gpu/goals.js"
import type { Report } from "../../bench/gpu/run.js"
import { toMarkdown } from "../../bench/gpu/summary.js"
import { skip } from "../cuda/double.js"

/** Of the package that the benchmarks use; the double has a kernel of this name. */
const spin = defineKernel({
  name: "test_spin",
  signature: ["int32"],
  cuda: { source: 'extern "C" __global__ void test_spin(int iterations) {}' },
  host: { source: "export function test_spin() {}" },
})

describe("fresh decisions about eager calls", () => {
  for (const [id, options] of [
    ["host", {}],
    ["cuda:0", { skip }],
  ] as const) {
    test(`are made, counted, and compared with both ways, on ${id}`, options, () => {
      using device = openDevice(id)
      using aux = device.createStream()
      const [event0, event1] = [device.createEvent(), device.createEvent()]
      const launch = () => spin.launch({ grid: 1, block: 1 }, 10)
      const found = contest(
        {
          calls: 8,
          queue(way) {
            for (let call = 0; call < 8; call++) {
              const stream = way === "sequential" ? null : aux
              const overlap = typeof way === "object" ? { overlap: way, key: 1 } : undefined
              maybeExecuteInParallel(launch, launch, event0, event1, stream, overlap)
            }
          },
          settle: () => device.synchronize(),
        },
        { decisions: 3, later: 48, seconds: 0 },
      )
      const { sequential, parallel, speedUp, decisions, decidedParallel, right, callsBefore, chosen, faster, loss } =
        found
      assert.equal(decisions, 3)
      if (faster === undefined) assert.equal(right, 3)
      else assert.equal(right, faster === "parallel" ? decidedParallel : 3 - decidedParallel)
      // Three calls each way warm up, and at least six pairs decide; then a turn of eight calls is finished.
      assert.ok(callsBefore >= 2 * 3 + 2 * 6 && callsBefore <= 2000, `${callsBefore}`)
      for (const time of [sequential, parallel, speedUp, chosen]) assert.ok(time > 0)
      assert.ok(loss.relative > -1 && Number.isFinite(loss.microseconds))
    })
  }

  test("have a table and two goals in the summary of a run on a GPU", () => {
    const facts = (right: number, lossRelative: number, lossMicroseconds: number) => ({
      ...{ sequential: 56.5, parallel: 46.4, chosen: 46.5, speedUp: 1.217, faster: 1, decisions: 100, right },
      ...{ decidedParallel: right, callsBefore: 38, lossRelative, lossMicroseconds },
    })
    const report = (found: Record<string, unknown>): Report => ({
      ...{ date: "2026-11-23T00:00:00Z", quick: false, rounds: 1, machine: {}, absent: [], measured: [], missing: [] },
      parts: [{ name: "policies", status: "done", seconds: 1, facts: found }],
    })
    const line = (of: Report, what: string) => goalLines(of).find((one) => one.what === what)
    const [decided, later] = ["fresh decisions, eager", "later calls as decided, eager"]
    const good = report({ "experts 1": facts(100, 0.002, 0.1), "norms 32": facts(95, 0.05, 0.3) })
    assert.deepEqual(
      [line(good, decided)?.values, line(good, decided)?.reached],
      [{ auxstream: "95 % (norms 32)" }, true],
    )
    assert.equal(line(good, later)?.reached, true)
    assert.equal(line(report({ "experts 1": facts(94, 0, 0) }), decided)?.reached, false)
    const bad = line(report({ "experts 1": facts(100, 0.021, 0.6), "norms 1": facts(100, 0, 0) }), later)
    assert.deepEqual([bad?.values, bad?.reached], [{ auxstream: "2.1 %, 0.60 µs (experts 1)" }, false])
    assert.equal(line(report({ "experts 1": { reason: "no memory" } }), later)?.reached, false)
    assert.match(
      toMarkdown(good),
      /\| experts 1 \| 56.5 µs \| 46.4 µs \| 46.5 µs \| 1.22 × \| side by side \| 100 of 100 \| 100 of 100 \| 38 \| 0.2 %/,
    )
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { contest } from "../../bench/fresh-decisions.js"
import { goalLines } from "../../bench/gpu/goals.js"
import type { Report } from "../../bench/gpu/run.js"
import { toMarkdown } from "../../bench/gpu/summary.js"
import { defineKernel, type Device, openDevice, parallel } from "auxstream"
import { skip } from "../cuda/double.js"

/** Of the package that the benchmarks use; the double has a kernel of this name. */
const affine = defineKernel({
  name: "test_affine",
  signature: ["int32", "inout int32*", "int32", "int32"],
  cuda: { source: 'extern "C" __global__ void test_affine(int n, int* x, int a, int b) {}' },
  host: {
    source: "export function test_affine(launch, n, x, a, b) { for (let i = 0; i < n; i++) x[i] = x[i] * a + b }",
  },
})

/** Two kernels side by side, which count how often they ran. */
function counting(device: Device) {
  const arrays = [0, 1].map(() => device.zeros("int32", 4))
  const queue = (): void => void parallel(arrays.map((x) => () => affine.launch({ grid: 1, block: 4 }, 4, x, 1, 1)))
  const counts = () => arrays.map((x) => x.readSync()[0])
  return { queue, counts }
}

describe("fresh decisions", () => {
  for (const [id, options] of [
    ["host", {}],
    ["cuda:0", { skip }],
  ] as const) {
    test(`are made about a graph and counted, on ${id}`, options, () => {
      using device = openDevice(id)
      const { queue, counts } = counting(device)
      const found = contest(device, queue, { decisions: 3, seconds: 0.1 })
      const { parallel, sequential, speedUp, decisions, decidedParallel, right, launches, host, faster } = found
      assert.equal(decisions, 3)
      assert.ok(decidedParallel >= 0 && decidedParallel <= 3 && right >= 0 && right <= 3)
      if (faster === undefined) assert.equal(right, 3)
      else assert.equal(right, faster === "parallel" ? decidedParallel : 3 - decidedParallel)
      // Three launches each way warm up, and at least six pairs decide.
      assert.ok(launches >= 2 * 3 + 2 * 6 && launches < 400, `${launches}`)
      for (const time of [parallel, sequential, speedUp, host.without, host.measured, host.decided]) assert.ok(time > 0)
      const [one, other] = counts()
      assert.equal(one, other)
      assert.ok((one ?? 0) >= 3 * launches)
    })
  }

  test("have a table and a goal in the summary of a run on a GPU", () => {
    const facts = (right: number) => ({
      ...{ sequential: 1800, parallel: 1500, speedUp: 1.2, faster: 1, decisions: 20, decidedParallel: right, right },
      ...{ launches: 32, hostWithout: 3, hostMeasured: 4.5, hostDecided: 3 },
    })
    const report = (found: Record<string, unknown>): Report => ({
      ...{ date: "2026-11-23T00:00:00Z", quick: false, rounds: 1, machine: {}, absent: [], measured: [], missing: [] },
      parts: [{ name: "decisions", status: "done", seconds: 1, facts: found }],
    })
    const good = report({ "experts 1": facts(20), "norms 32": facts(19) })
    const line = (of: Report) => goalLines(of).find(({ what }) => what.startsWith("fresh decisions"))
    assert.deepEqual([line(good)?.values, line(good)?.reached], [{ auxstream: "95 % (norms 32)" }, true])
    assert.equal(line(report({ "experts 1": facts(18) }))?.reached, false)
    assert.equal(line(report({ "experts 1": { reason: "no memory" } }))?.reached, false)
    const text = toMarkdown(good)
    assert.match(text, /\| experts 1 \| 1.8 ms \| 1.5 ms \| 1.20 × \| side by side \| 20 of 20 \| 20 of 20 \| 32 \|/)
  })
})

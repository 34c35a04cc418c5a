import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { forEachDevice } from "../../support/devices.js"
import { prepare } from "../../support/kernels.js"
import { Model } from "./model.js"
import { programs } from "./program.js"
import { Fixtures, runOn } from "./runner.js"
import { lateness, randomRuns } from "../../support/random-runs.js"

/**
 * Random programs with streams, events, all four functions that run branches in parallel, views, temporaries disposed of at
 * once, scopes, errors and awaits give the same results as a sequential run. The kernels depend on their order, so a missing
 * wait shows when two of them change places. Spinning kernels vary the timing.
 */
forEachDevice("§5, §6 random programs", (open) => {
  test("give the results of a sequential model", async () => {
    using device = open()
    await prepare(device)
    const { used } = device.memory
    using fixtures = new Fixtures(device)
    const isLate = lateness()
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        if (isLate()) return
        const expected = new Model(program)
        const outcome = await runOn(fixtures, program)
        assert.deepEqual(new Map(outcome.errors), expected.errors)
        assert.deepEqual(outcome.arrays, expected.arrays)
        assert.deepEqual(outcome.reads, expected.reads)
      }),
      randomRuns(1000),
    )
    device.synchronize()
    assert.equal(device.memory.used, used)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { forEachDevice } from "../../support/devices.js"
import { prepare } from "../../support/kernels.js"
import { Model } from "./model.js"
import { programs } from "./program.js"
import { Fixtures, runOn } from "./runner.js"

/**
 * Random programs over streams, events, all four functions that run branches side by side, views, temporaries that are
 * dropped at once, scopes, errors and awaits come to what a plain sequential run of them comes to. The kernels depend on
 * their order, so that a wait that is missing shows as soon as two of them change places, and spins shake the timing.
 */
forEachDevice("§5, §6 random programs", (open) => {
  test("come to what a sequential model comes to", async () => {
    using device = open()
    await prepare(device)
    const { used } = device.memory
    using fixtures = new Fixtures(device)
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const expected = new Model(program)
        const outcome = await runOn(fixtures, program)
        assert.deepEqual(new Map(outcome.errors), expected.errors)
        assert.deepEqual(outcome.arrays, expected.arrays)
        assert.deepEqual(outcome.reads, expected.reads)
      }),
      // A failure is made smaller for a while: races do not come back every time.
      { numRuns: 2500, plugins: [fc.interruptAfterTimeLimit(100_000, { failOnInterrupt: true })] },
    )
    device.synchronize()
    assert.equal(device.memory.used, used)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { startSanitizer } from "../../../src/index.js"
import { forEachDevice } from "../../support/devices.js"
import { lateness, randomRuns } from "../../support/random-runs.js"
import { programOf } from "./program.js"
import { World } from "./runner.js"

/**
 * Random programs with views, wrapped memory, rows, structs, globals, products, graphs, conditionals, temporary arrays,
 * fences, nested regions and errors give in a region what they give in sequence, and the sanitizer finds no race. The
 * kernels depend on their order. AUXSTREAM_PLACEMENT_SEED is the first seed.
 */
forEachDevice("§14 where: random programs in regions", (open) => {
  test("give what they give in sequence, without races", async () => {
    using device = open()
    const world = new World(device)
    await world.prepare()
    const first = Number(process.env["AUXSTREAM_PLACEMENT_SEED"] ?? 1)
    const isLate = lateness()
    for (let seed = first; seed < first + randomRuns(25).numRuns && !isLate(); seed++) {
      const program = programOf(seed)
      const expected = await world.run(program, false)
      const sanitizer = startSanitizer({ stacks: false })
      try {
        assert.deepEqual(await world.run(program, true), expected, `seed ${seed}`)
      } catch (error) {
        throw new Error(`The program of seed ${seed} failed.`, { cause: error })
      } finally {
        sanitizer.stop()
      }
    }
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { openDevice } from "auxstream"
import { filters, run } from "../../examples/filters/filters.js"
import { double, skip } from "../cuda/double.js"
import { withEnvironment } from "../support/environment.js"
import { runExample } from "./run.js"

/** The same in plain JavaScript. */
function expected(): { sum: number; clipped: number } {
  const taps = [4, 3, 2, 1]
  const x = Array.from({ length: 1000 }, (_, i) => 1 + i * 0.5)
  const y = x.map((_, i) => 4 * taps.reduce((sum, tap, k) => sum + tap * (x[i - k] ?? 0), 0))
  const limit = 16_384
  const sum = y.reduce((total, value) => total + Math.min(value, limit), 0)
  return { sum, clipped: y.filter((value) => value > limit).length }
}

const { sum, clipped } = expected()
const line = `The sum is ${sum}; ${clipped} values were clipped.\n`

describe("the .cu file with five kernels", () => {
  test("filters on the host device", () => {
    const outcome = withEnvironment({ AUXSTREAM_DEVICE: "host" }, () => runExample("filters/main"))
    assert.deepEqual(outcome, { exitCode: 0, output: line, errors: "" })
  })

  test(
    "§11 gives the same on both devices; CUDA compiles and loads the file once, in a second program from the cache",
    { skip },
    async () => {
      const counts = () => ["nvrtcCompileProgram", "cuLibraryLoadData"].map((name) => double.count(name))
      using host = openDevice("host")
      assert.deepEqual(await run(host), { sum, clipped })
      for (const compilations of [1, 0]) {
        using cuda = openDevice("cuda:0")
        const before = counts()
        for (let round = 0; round < 2; round++) assert.deepEqual(await run(cuda), { sum, clipped })
        assert.deepEqual(
          counts().map((count, index) => count - (before[index] ?? 0)),
          [compilations, 1],
        )
      }
      filters.dispose()
    },
  )
})

/** Regions of autoParallel in another library's capture, and which calls of the driver they make. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { autoParallel, openDevice } from "../../src/index.js"
import { firsts, fourArrays, mix, step } from "../support/placed.js"
import { onDouble } from "./device.js"
import { double } from "./double.js"
import { ForeignCapture } from "./foreign-capture.js"

/** How often a function makes the calls. */
function callsIn(fn: () => void): { readonly records: number; readonly waits: number; readonly launches: number } {
  const names = ["cuEventRecord", "cuStreamWaitEvent", "cuLaunchKernelEx"]
  const counts = () => names.map((name) => double.count(name))
  const before = counts()
  fn()
  const [records = 0, waits = 0, launches = 0] = counts().map((count, index) => count - (before[index] ?? 0))
  return { records, waits, launches }
}

onDouble("autoParallel on CUDA", () => {
  test("§14 where: on a stream that another library captures, the region becomes part of that library's graph", () => {
    using device = openDevice("cuda:0")
    using stream = device.createStream()
    const [x, y, z] = fourArrays(device)
    for (const array of [x, y, z]) stream.run(() => step(array, 1, 0))
    device.synchronize()
    const capture = new ForeignCapture(Number(stream.handle))
    stream.run(() =>
      autoParallel(() => {
        step(x)
        step(y)
        mix(x, z)
        mix(y, z)
      }),
    )
    capture.endAndRun()
    assert.deepEqual(firsts(x, y, z), [4, 7, (3 * 3 + 4) * 3 + 7])
  })

  test("§14 where: one wait for each order that nothing else implies, and records only where something may wait", () => {
    using device = openDevice("cuda:0")
    const [x, y, z, w] = fourArrays(device)
    const chain = () => {
      for (let count = 0; count < 10; count++) step(x)
    }
    const branches = () => {
      step(x)
      mix(x, y) // another stream is not needed
      mix(x, z) // waits for the first
      mix(y, w)
      mix(z, w) // waits for the fourth
    }
    autoParallel(branches)
    device.synchronize()
    // Each step replaces all that the former one did, so only the beginning of the region is recorded.
    assert.deepEqual(
      callsIn(() => autoParallel(chain)),
      { records: 1, waits: 0, launches: 10 },
    )
    assert.deepEqual(
      callsIn(() => autoParallel(chain, { streams: 1 })),
      { records: 0, waits: 0, launches: 10 },
    )
    // The beginning, and all steps but the last. The branch waits for the beginning and the first, the last for the branch.
    assert.deepEqual(
      callsIn(() => autoParallel(branches)),
      { records: 5, waits: 3, launches: 5 },
    )
  })

  test("§6 out of memory inside a region: what the region keeps is given back first", () => {
    double.setMemory(64 * 2 ** 20)
    try {
      using device = openDevice("cuda:0")
      const size = 20 * 2 ** 20
      autoParallel(() => {
        for (let turn = 0; turn < 8; turn++) {
          using small = device.empty("uint8", Math.floor(size / (turn + 1)))
          using large = device.empty("uint8", size + turn * 2 ** 20)
          small.fill(1)
          large.fill(2)
        }
      })
      device.synchronize()
      assert.equal(device.memory.used, 0)
    } finally {
      double.setMemory(2 ** 40)
    }
  })
})

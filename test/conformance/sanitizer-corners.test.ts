import { test } from "node:test"
import { autoParallel, captureGraph, fork } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { raceOf, sanitized, unsanitized } from "../support/races.js"

/** Corners that random programs found: see test/sanitizer/oracle. */
forEachOpenDevice("§13 the sanitizer and corners:", (open) => {
  test("an empty view between bytes that others use is no access", unsanitized, () => {
    using device = open()
    using a = device.createStream()
    using b = device.createStream()
    using x = device.zeros("int32", 8)
    using y = device.zeros("int32", 8)
    using _ = sanitized()
    affine.launch({ ...over(8), stream: a }, 8, x, 1, 1)
    affine.launch({ ...over(0), stream: b }, 0, x.subarray(4, 4), 1, 1)
    combine.launch({ ...over(0), stream: b, uses: { writes: [x.subarray(2, 2)] } }, 0, y, y)
    raceOf(() => affine.launch({ ...over(0), stream: b }, 0, x.subarray(4, 5), 1, 1))
  })

  test("nor is it one in a graph that was captured before the sanitizer started", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", 8)
    using graph = captureGraph(() => {
      using empty = fork(() => affine.launch(over(0), 0, x.subarray(4, 4), 1, 1))
      affine.launch(over(8), 8, x, 1, 1)
      empty.join()
    })
    using _ = sanitized()
    graph.launch()
  })

  test("§5.11 a fork on the current stream orders each stream that joins it", unsanitized, () => {
    using device = open()
    using a = device.createStream()
    using b = device.createStream()
    using x = device.zeros("int32", 8)
    using _ = sanitized()
    const forked = a.run(() => fork(() => affine.launch(over(8), 8, x, 1, 1), { stream: a }))
    raceOf(() => affine.launch({ ...over(8), stream: b }, 8, x, 1, 1))
    b.run(() => forked.join())
    affine.launch({ ...over(8), stream: b }, 8, x, 1, 1)
  })

  test(
    "§4 first contents that autoParallel placed on another stream come before all uses of the array",
    unsanitized,
    () => {
      using device = open()
      using a = device.createStream()
      using _ = sanitized()
      const made = autoParallel(() => [1, 2, 3].map((value) => device.full("int32", 8, value)))
      for (const x of made) affine.launch({ ...over(8), stream: a }, 8, x, 1, 1)
      for (const x of made) raceOf(() => affine.launch(over(8), 8, x, 1, 1))
      for (const x of made) x.dispose()
    },
  )
})

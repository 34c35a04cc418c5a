/** Our own captures while queries of the driver fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, CudaError, currentStream, openDevice, runIf } from "../../src/index.js"
import { onDouble, thrownBy, unknown } from "./device.js"
import { double } from "./double.js"
import { affine, once } from "../support/kernels.js"

/** More queries than a capture with a conditional makes. */
const questions = 8

onDouble("a capture while one query whether its streams are captured fails", () => {
  for (const kind of ["a conditional", "a graph"]) {
    test(`§5 rule 5: what ${kind}'s function throws comes out, or the driver's failure; no stream is left`, () => {
      using device = openDevice("cuda:0")
      const flag = device.from(Int32Array.of(1))
      const x = device.zeros("int32", 1)
      const mine = new Error("mine")
      const capture = (work: () => void) => captureGraph(() => (kind === "a graph" ? work() : runIf(flag, work)))
      const stream = device.createStream()
      void stream.handle
      const round = (work: () => void) => stream.run(() => thrownBy(() => capture(work).dispose()))
      device.synchronize()
      let failed = 0
      for (let nth = 1; nth <= questions; nth++) {
        const before = double.alive().streams
        double.fail("cuStreamIsCapturing", nth, unknown)
        const error = round(() => {
          void currentStream(device).handle
          x.fill(3)
          throw mine
        })
        failed += 1 - double.failuresLeft()
        double.failNothing()
        assert.ok(error === mine || error instanceof CudaError, `question ${nth}: ${String(error)}`)
        for (let count = 0; count < 4; count++) device.createStream().dispose()
        device.synchronize()
        device.createStream().dispose()
        assert.ok(double.alive().streams <= before, `question ${nth} has left a stream`)
      }
      assert.ok(failed > 0 && failed < questions, `${failed} of ${questions} were asked`)
    })
  }
})

onDouble("a capture whose last node cannot be asked for", () => {
  test("§5 rule 5: it ends with the driver's failure, and another one can begin", async () => {
    using device = openDevice("cuda:0")
    const x = device.zeros("int32", 4)
    await affine.prepare(device)
    let later = 0
    double.fail("cuStreamGetCaptureInfo_v2", 2, unknown) // The first call is for traces, and may fail.
    const error = thrownBy(() =>
      captureGraph(() => {
        affine.launch(once, 4, x, 0, 3)
        later++
      }),
    )
    assert.ok(error instanceof CudaError, String(error))
    assert.equal(later, 1, "the launch itself was captured")
    using graph = captureGraph(() => void x.fill(4))
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(4).fill(4))
  })
})

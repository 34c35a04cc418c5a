/**
 * Devices closed while work may be running whose end cannot be seen. They leak until the process ends, so these tests have a
 * process of their own.
 */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { openDevice } from "../../src/index.js"
import { Latch, never, open, takeWarnings, unknown } from "./device.js"
import { double, skip } from "./double.js"
import { ForeignCapture } from "./foreign-capture.js"

async function firstWarning(): Promise<Error | undefined> {
  for (;;) {
    const [warning] = await takeWarnings()
    if (warning !== undefined) return warning
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

describe("a device closed while work may be running whose end cannot be seen", { skip }, () => {
  for (const call of ["cuEventQuery", "cuEventRecord"]) {
    test(`leaks its memory if ${call} keeps failing, with a warning`, async () => {
      const driver = open()
      const stream = driver.streams.create(0)
      driver.memory.allocate(1000, stream, never)
      const latch = new Latch(driver).hold(stream)
      const { allocations } = double.alive()
      for (let nth = 1; nth <= 30; nth++) double.fail(call, nth, unknown)
      driver[Symbol.dispose]()
      const warning = await firstWarning()
      double.failNothing()
      assert.match(String(warning), /^AuxstreamWarning: cuda:0 .* stays until the process ends.*CUDA_ERROR_UNKNOWN/)
      assert.equal(double.alive().allocations, allocations)
      latch.open()
    })
  }

  test("leaks its memory if another library is capturing a foreign stream, with a warning", async () => {
    const keeper = open()
    const device = openDevice("cuda:0")
    const foreignHandle = keeper.streams.create(0)
    const foreign = device.streamFromHandle(BigInt(foreignHandle))
    const latch = new Latch(keeper).hold(foreignHandle)
    foreign.run(() => device.empty("uint8", 1000).fill(1))
    const { allocations } = double.alive()
    const capture = new ForeignCapture(foreignHandle)
    device.dispose()
    capture.end()
    assert.match(String(await firstWarning()), /stays until the process ends.*another library captures/)
    assert.equal(double.alive().allocations, allocations)
    latch.open()
  })
})

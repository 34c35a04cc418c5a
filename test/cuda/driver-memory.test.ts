/** Each array an allocation of the driver's own (`AUXSTREAM_CUDA_MEMORY=driver`). */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { AuxstreamError, DeviceLostError } from "../../src/common/errors.js"
import { withEnvironment } from "../support/environment.js"
import { mark, never, onDouble, open, takeWarnings, thrownBy, until } from "./device.js"
import { double } from "./double.js"

const [unknown, illegalAddress] = [999, 700]

onDouble("device memory that the driver hands out", () => {
  before(() => {
    process.env["AUXSTREAM_CUDA_MEMORY"] = "driver"
  })
  after(() => {
    delete process.env["AUXSTREAM_CUDA_MEMORY"]
  })

  test("an allocation is a call and a record on its stream, for others to wait for; a free is a call", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    driver.memory.free(driver.memory.allocate(1024, stream, never), stream, mark)
    const calls = double.log(() => driver.memory.free(driver.memory.allocate(1024, stream, never), stream, mark))
    assert.deepEqual(
      calls.map(([name, ...args]) => [name, args.at(-1)]),
      [
        ["cuMemAllocFromPoolAsync", stream],
        ["cuEventRecord", stream],
        ["cuMemFreeAsync", stream],
      ],
    )
  })

  test("another value of the variable is refused by name, and nothing was opened", () => {
    const error = thrownBy(() => withEnvironment({ AUXSTREAM_CUDA_MEMORY: "pool" }, () => open()))
    assert.ok(error instanceof AuxstreamError)
    assert.match(error.message, /AUXSTREAM_CUDA_MEMORY must be "own", "driver" or unset; got "pool"/)
    assert.equal(double.alive().contexts, 0)
  })

  test("an allocation that fails made nothing; a free that fails is a leak, and says so", async () => {
    {
      using driver = open()
      const stream = driver.streams.create(0)
      double.fail("cuMemAllocFromPoolAsync", 1, unknown)
      thrownBy(() => driver.memory.allocate(1024, stream, never))
      assert.equal(double.alive().allocations, 0)
      const address = driver.memory.allocate(1024, stream, never)
      double.fail("cuMemFreeAsync", 1, unknown)
      driver.memory.free(address, stream, mark)
      const [warning, ...others] = await takeWarnings()
      assert.match(warning?.message ?? "", /cuda:0.+CUDA_ERROR_UNKNOWN/)
      assert.equal(others.length, 0)
    }
    await until(() => double.alive().contexts === 0)
    double.forgetLost()
  })

  test("a fault that a free meets first loses the device, and the free returns quietly", async () => {
    {
      using driver = open()
      const stream = driver.streams.create(0)
      const address = driver.memory.allocate(1024, stream, never)
      double.fail("cuMemFreeAsync", 1, illegalAddress)
      driver.memory.free(address, stream, mark)
      assert.ok(thrownBy(() => driver.memory.allocate(1024, stream, never)) instanceof DeviceLostError)
    }
    await until(() => double.alive().contexts === 0)
    double.forgetLost()
  })
})

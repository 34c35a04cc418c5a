/** Devices that are closed while work is queued: nothing is freed before the work is over, whatever fails. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openDevice } from "../../src/index.js"
import { Latch, never, onDouble, open, unknown, until, untilGone } from "./device.js"
import { double } from "./double.js"

/** Several steps of a closing device, each of which looks whether the work is over. */
async function someSteps(): Promise<void> {
  const before = double.count("cuEventQuery")
  await until(() => double.count("cuEventQuery") > before + 5)
}

onDouble("a device that is closed while work is queued", () => {
  for (const call of ["cuEventQuery", "cuEventRecord", "cuStreamIsCapturing"]) {
    test(`keeps its memory until the work is over, even if ${call} fails once`, async () => {
      const driver = open()
      const stream = driver.streams.create(0)
      driver.streams.foreignHandle(stream) // So that the driver must query whether it is captured.
      driver.memory.allocate(1000, stream, never)
      // `using` would close it again at the end, after its memory is freed.
      const latch = new Latch(driver).hold(stream)
      const { allocations } = double.alive()
      double.fail(call, 1, unknown)
      driver[Symbol.dispose]()
      await until(() => double.failuresLeft() === 0)
      await someSteps()
      assert.equal(double.alive().allocations, allocations)
      latch.open()
      await untilGone()
    })
  }

  test("frees its memory even if the stream for that cannot be created at first", async () => {
    const driver = open()
    driver.memory.allocate(1000, driver.streams.create(0), never)
    double.fail("cuStreamCreateWithPriority", 1, unknown)
    driver.close()
    await untilGone()
    assert.equal(double.failuresLeft(), 0)
  })

  test("waits for a foreign stream, too", async () => {
    using keeper = open()
    const device = openDevice("cuda:0")
    const foreignHandle = keeper.streams.create(0)
    const foreign = device.streamFromHandle(BigInt(foreignHandle))
    using latch = new Latch(keeper).hold(foreignHandle)
    foreign.run(() => device.empty("uint8", 1000).fill(1))
    const { allocations } = double.alive()
    device.dispose()
    await someSteps()
    assert.equal(double.alive().allocations, allocations)
    latch.open()
  })
})

onDouble("a stream that is disposed of", () => {
  test("is kept until its end can be marked: memory that it uses is not handed out before", () => {
    using device = openDevice("cuda:0")
    const [used, other] = [device.createStream(), device.createStream()]
    const array = used.run(() => device.empty("uint8", 64 * 2 ** 20))
    using latch = new Latch(device.driver).hold(used.state.handle)
    used.run(() => array.fill(1))
    const { address } = array
    double.fail("cuEventRecord", 1, unknown)
    used.dispose()
    assert.equal(double.failuresLeft(), 0)
    array.dispose()
    const taken = other.run(() => [1, 2].map(() => device.empty("uint8", 64 * 2 ** 20)))
    assert.ok(taken.every((one) => one.address !== address))
    latch.open()
    device.synchronize()
    device.empty("uint8", 1).dispose()
    assert.equal(used.disposed, true)
    latch.free()
  })
})

import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { type Device, maybeExecuteInParallel, openDevice, parallel, startTrace } from "../../src/index.js"
import { double, skip } from "../cuda/double.js"
import { affine, once } from "../support/kernels.js"

/** The driver's calls while `run` queues, on an idle device. */
function calls(device: Device, run: () => void): Record<string, number> {
  const names = ["cuEventRecord", "cuEventCreate", "cuLaunchKernelEx", "cuStreamWaitEvent", "cuEventElapsedTime"]
  device.synchronize()
  const before = names.map((name) => double.count(name))
  run()
  return Object.fromEntries(names.map((name, index) => [name, double.count(name) - (before[index] ?? 0)]))
}

describe("§12 tracing costs nothing when it is off", { skip }, () => {
  it("a program makes the same driver calls before a trace and after it, and two records an operation more within", async () => {
    using device = openDevice("cuda:0")
    const [x, y] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
    const queue = () => {
      for (let index = 0; index < 10; index++) {
        maybeExecuteInParallel(
          () => affine.launch(once, 1, x, 3, 1),
          () => affine.launch(once, 1, y, 3, 1),
          event0,
          event1,
          aux,
        )
      }
    }
    queue()
    device.synchronize()
    const before = calls(device, queue)
    const trace = startTrace()
    const within = calls(device, queue)
    const { data } = await trace.stop()
    const after = calls(device, queue)
    device.synchronize()
    assert.deepEqual(after, before)
    assert.equal(within["cuEventRecord"], (before["cuEventRecord"] ?? 0) + 2 * 20)
    assert.equal(within["cuLaunchKernelEx"], before["cuLaunchKernelEx"])
    assert.equal(within["cuStreamWaitEvent"], before["cuStreamWaitEvent"])
    assert.equal(data.spans.length, 20)
    assert.equal(data.devices[0]?.times, "events")
  })

  it("traces leave no events and no streams behind, beside those that the library pools", async () => {
    using device = openDevice("cuda:0")
    const x = device.zeros("int32", 1)
    const traceOnce = async () => {
      const trace = startTrace()
      for (let index = 0; index < 30; index++) affine.launch(once, 1, x, 3, 1)
      await trace.stop()
      device.synchronize()
    }
    for (let warmUp = 0; warmUp < 3; warmUp++) await traceOnce()
    const { events, streams } = double.alive()
    for (let trial = 0; trial < 20; trial++) await traceOnce()
    assert.ok(double.alive().events <= events + 10, `${events} events became ${double.alive().events}`)
    assert.ok(double.alive().streams <= streams + 2)
  })

  it("fork-joins are NVTX ranges while a trace runs, and only then", async () => {
    using device = openDevice("cuda:0")
    const x = device.zeros("int32", 1)
    const call = () => parallel([() => affine.launch(once, 1, x, 3, 1), async () => {}])
    const [before = 0] = double.ranges()
    await call()
    assert.deepEqual(double.ranges(), [before, 0])
    const trace = startTrace()
    const running = call()
    assert.deepEqual(double.ranges(), [before + 1, 1])
    await running
    await trace.stop()
    assert.deepEqual(double.ranges(), [before + 1, 0])
  })

  it("a driver call of the trace that fails does not fail the program's operation", async () => {
    using device = openDevice("cuda:0")
    const x = device.zeros("int32", 1)
    affine.launch(once, 1, x, 3, 1)
    device.synchronize()
    const trace = startTrace()
    const NOT_PERMITTED = 800
    double.fail("cuEventRecord", 1, NOT_PERMITTED)
    affine.launch(once, 1, x, 3, 1)
    double.failNothing()
    affine.launch(once, 1, x, 3, 1)
    const { data } = await trace.stop()
    assert.equal(data.spans.length, 1)
    assert.deepEqual([...x.readSync()], [13])
  })
})

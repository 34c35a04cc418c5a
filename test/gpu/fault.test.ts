/** §7: a kernel's fault. It needs a process of its own, because it loses the device there. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import { captureGraph, CudaError, DeviceLostError, fork, openDevice } from "../../src/index.js"
import { refused, rejected } from "../support/errors.js"
import { affine, latch as latchKernel, once, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { fault } from "./fault-kernel.js"
import { findDevices } from "./gpu.js"

const found = await findDevices(1)
const skip = "missing" in found ? found.missing : false

const count = 1000

test(
  "§7 a fault loses the device: promises reject, every call throws the first failure, dispose works",
  { skip },
  async () => {
    using device = openDevice("cuda:0")
    using stream = device.createStream()
    const x = device.full("int32", count, 1)
    const y = device.full("float32", 4, 1)
    const z = device.empty("float32", 4)
    const pinned = device.pinned("int32", count)
    using graph = captureGraph(() => affine.launch(over(count), count, x, 2, 1), { device })
    matmul({ a: y, b: y, out: z, m: 2, n: 2, k: 2 })
    affine.launch(over(count), count, x, 2, 1)
    await Promise.all([fault, latchKernel].map((kernel) => kernel.prepare(device)))
    await device.completed()

    const event = device.createEvent()
    using latch = new Latch(device).hold(stream) // So that everything is queued before the fault.
    fault.launch({ ...once, stream })
    event.record(stream)
    const pending = [stream.completed(), event.completed(), stream.run(() => x.read()), device.completed()]
    latch.open()
    const outcomes = await Promise.allSettled(pending)
    const [first] = outcomes
    assert.ok(first?.status === "rejected" && first.reason instanceof DeviceLostError, JSON.stringify(first))
    for (const outcome of outcomes) assert.ok(outcome.status === "rejected" && outcome.reason === first.reason)
    const { cause, message } = first.reason
    assert.ok(cause instanceof CudaError)
    assert.match(cause.message, /^cu\w+ failed with CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED)/)
    assert.ok(message.includes(cause.message))

    const calls: readonly (() => unknown)[] = [
      () => device.empty("int32", 1),
      () => affine.launch(over(count), count, x, 1, 1),
      () => matmul({ a: y, b: y, out: z, m: 2, n: 2, k: 2 }),
      () => stream.query(),
      () => stream.synchronize(),
      () => device.defaultStream.wait(stream),
      () => event.query(),
      () => x.readSync(),
      () => pinned.copyFrom(x),
      () => device.createStream(),
      () => graph.launch(),
      () => fork(() => affine.launch(over(count), count, x, 1, 1)).join(),
      () => device.synchronize(),
    ]
    for (const call of calls) {
      assert.equal(refused(call, "AUX_DEVICE_LOST"), first.reason, call.toString())
    }
    await rejected(() => x.read(), "AUX_DEVICE_LOST")
    for (const owned of [x, y, z, event]) owned.dispose()
  },
)

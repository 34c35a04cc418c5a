/** §7: a kernel's fault on one of two CUDA devices. It needs a process of its own, because it ends CUDA there. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DeviceLostError, openDevice } from "../../src/index.js"
import { refused, rejected } from "../support/errors.js"
import { affine, latch as latchKernel, once, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { fault } from "./fault-kernel.js"
import { findDevices } from "./gpu.js"

const found = await findDevices(2)
const skip = "missing" in found ? found.missing : false

const count = 1000

test(
  "§7 a fault on one device loses both, as CUDA defines it: each reports the loss, and both can be disposed of",
  { skip },
  async () => {
    using first = openDevice("cuda:0")
    using second = openDevice("cuda:1")
    const x = first.full("int32", count, 1)
    const y = second.full("int32", count, 1)
    affine.launch(over(count), count, x, 2, 1)
    affine.launch(over(count), count, y, 2, 1)
    await Promise.all([fault.prepare(second), latchKernel.prepare(first)])
    using latch = new Latch(first).hold()
    const waiting = assert.rejects(first.completed(), DeviceLostError)
    fault.launch({ ...once, stream: second.defaultStream })
    const error = await rejected(
      () => y.read(),
      "AUX_DEVICE_LOST",
      "cuda:1",
      /CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED)/,
    )
    assert.ok(error instanceof DeviceLostError)
    await waiting
    refused(() => affine.launch(over(count), count, x, 1, 1), "AUX_DEVICE_LOST", "cuda:0")
    refused(() => affine.launch(over(count), count, y, 1, 1), "AUX_DEVICE_LOST", "cuda:1")
    for (const array of [x, y]) array.dispose()
    latch.open()
  },
)

/** §7: a kernel's fault on one of two CUDA devices. In a process of its own, which it may be the end of. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { defineKernel, DeviceLostError, openDevice } from "../../src/index.js"
import { rejected } from "../support/errors.js"
import { affine, once, over } from "../support/kernels.js"
import { findDevices } from "./gpu.js"

const found = await findDevices(2)
const skip = "missing" in found ? found.missing : false

const fault = defineKernel({
  name: "test_fault",
  signature: [],
  cuda: { source: `extern "C" __global__ void test_fault() { *(volatile int*)8 = 1; }` },
})

const count = 1000

test("§7 a fault loses its own device, with everything on it; the other one goes on", { skip }, async () => {
  using first = openDevice("cuda:0")
  using second = openDevice("cuda:1")
  using x = first.full("int32", count, 1)
  const y = second.full("int32", count, 1)
  affine.launch(over(count), count, x, 2, 1)
  affine.launch(over(count), count, y, 2, 1)
  await fault.prepare(second)
  fault.launch({ ...once, stream: second.defaultStream })
  const error = await rejected(
    () => y.read(),
    "AUX_DEVICE_LOST",
    "cuda:1",
    /CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED)/,
  )
  assert.ok(error instanceof DeviceLostError)
  await rejected(() => second.completed(), "AUX_DEVICE_LOST", "cuda:1")
  for (let i = 0; i < 50; i++) affine.launch(over(count), count, x, 1, 1)
  assert.deepEqual(await x.read(), new Int32Array(count).fill(53))
  y.dispose()
})

/** §11 nothing waits for the device in secret, tested on a GPU with CUDA's real loading of code and local memory. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { matmul, prepareMatmul } from "../../src/blas/index.js"
import { captureGraph, defineKernel, fromFloat32, openDevice, runIf, toFloat32 } from "../../src/index.js"
import { Latch } from "../support/latch.js"
import { findGpu } from "./gpu.js"

const gpu = findGpu()
const skip = gpu === undefined ? "NOT TESTED: what CUDA waits for. That needs an NVIDIA GPU." : false
if (skip !== false) process.emitWarning(skip)

/** Always the same code, so that it is cached, but a new kernel, so that it must be loaded. */
const fresh = () =>
  defineKernel({
    name: "nothing",
    signature: [],
    cuda: { source: 'extern "C" __global__ void nothing() {}' },
  })

/** Each thread has 16 KiB of its own. */
const deep = defineKernel({
  name: "deep",
  signature: ["inout int32*"],
  cuda: {
    source: `extern "C" __global__ void deep(int* x) {
      volatile int own[4096];
      for (int i = 0; i < 4096; i++) own[i] = *x + i;
      int sum = 0;
      for (int i = 0; i < 4096; i++) sum += own[(i * 7 + *x) & 4095];
      if (sum == 12345) *x = sum;
    }`,
  },
})

describe(`what CUDA waits for on ${gpu}`, { skip }, () => {
  test("preparing a kernel leaves the event loop free to release what runs", async () => {
    using device = openDevice("cuda:0")
    using stream = device.createStream()
    await fresh().prepare(device)
    using latch = new Latch(device).hold(stream).waitUntilEntered()
    setTimeout(() => latch.open(), 100)
    await fresh().prepare(device)
    assert.equal(latch.timedOut, false)
  })

  test("a kernel's first launch, with local memory, runs beside a held stream", async () => {
    using device = openDevice("cuda:0")
    using held = device.createStream()
    using free = device.createStream()
    using x = device.zeros("int32", 1)
    await deep.prepare(device)
    device.synchronize()
    using latch = new Latch(device).hold(held).waitUntilEntered()
    deep.launch({ grid: 1, block: 32, stream: free }, x)
    free.synchronize()
    assert.equal(latch.timedOut, false)
    assert.equal(held.query(), false)
  })

  test("conditionals are captured, launched and disposed of beside a held stream", async () => {
    using device = openDevice("cuda:0")
    await device.prepare()
    using held = device.createStream()
    using free = device.createStream()
    using flag = device.full("int32", 1, 1)
    using out = device.zeros("int32", 1)
    device.synchronize()
    using latch = new Latch(device).hold(held).waitUntilEntered()
    free.run(() => {
      const graph = captureGraph(() => runIf(flag, () => void out.fill(7)), { device })
      graph.launch(free)
      graph.dispose()
      assert.deepEqual([...out.readSync()], [7])
    })
    assert.equal(latch.timedOut, false)
    assert.equal(held.query(), false)
  })

  test("products that were prepared run beside a held stream, those of new dtypes and epilogues, too", async () => {
    using device = openDevice("cuda:0")
    using held = device.createStream()
    using free = device.createStream()
    const one = fromFloat32(new Float32Array(64 * 64).fill(1), "bfloat16")
    using a = device.from(one, "bfloat16")
    using bias = device.full("bfloat16", 64, 2)
    using eights = device.full("float8_e4m3fn", 64 * 64, 1)
    using outs = device.zeros("bfloat16", 3 * 64 * 64)
    const shape = { m: 64, n: 64, k: 64, transposeB: true }
    const out = (index: number) => outs.subarray(index * 64 * 64, (index + 1) * 64 * 64)
    await prepareMatmul(device, { dtype: "bfloat16", ...shape })
    await prepareMatmul(device, { dtype: "bfloat16", ...shape, bias: true, activation: "relu" })
    await prepareMatmul(device, { dtype: "float8_e4m3fn", outDtype: "bfloat16", ...shape })
    free.wait(device.defaultStream)
    device.synchronize()
    using latch = new Latch(device).hold(held).waitUntilEntered()
    free.run(() => {
      matmul({ a, b: a, out: out(0), ...shape })
      matmul({ a, b: a, out: out(1), ...shape, bias, activation: "relu" })
      matmul({ a: eights, b: eights, out: out(2), ...shape })
      const found = toFloat32(outs.readSync(), "bfloat16")
      assert.deepEqual([found[0], found[64 * 64], found[2 * 64 * 64]], [64, 66, 64])
    })
    assert.equal(latch.timedOut, false)
    assert.equal(held.query(), false)
  })
})

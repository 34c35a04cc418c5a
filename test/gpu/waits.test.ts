/** §11 nothing waits for the device in secret, tested on a GPU with CUDA's real loading of code and local memory. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { captureGraph, defineKernel, openDevice, runIf } from "../../src/index.js"
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
})

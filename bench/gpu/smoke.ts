/**
 * The first program to run on a machine with a GPU: opens the device, launches, forks and joins, and prints the results. It
 * shows in less than a minute whether a full run makes sense.
 */

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { defineKernel, type Device, listDevices, maybeExecuteInParallel, openDevice } from "auxstream"

const elements = 1 << 20
const shape = { grid: elements / 256, block: 256 } as const

const saxpy = defineKernel({
  name: "saxpy",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) y[i] += a * x[i];
    }`,
  },
})

/** Runs a step, and prints its duration. */
async function step(name: string, fn: () => unknown): Promise<void> {
  const started = performance.now()
  await fn()
  console.log(`${name}: ${(performance.now() - started).toFixed(1)} ms`)
}

async function launch(device: Device): Promise<void> {
  const x = device.from(Float32Array.from({ length: elements }, (_, i) => i % 1000))
  const y = device.full("float32", elements, 1)
  saxpy.launch(shape, elements, 2, x, y)
  const found = await y.read()
  for (let i = 0; i < elements; i++) assert.equal(found[i], 2 * (i % 1000) + 1)
  x.dispose()
  y.dispose()
}

async function forkJoin(device: Device): Promise<void> {
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const branch = () => {
    const [x, y] = [device.full("float32", elements, 3), device.zeros("float32", elements)]
    saxpy.launch(shape, elements, 2, x, y)
    x.dispose()
    return y
  }
  for (let round = 0; round < 100; round++) {
    const [left, right] = maybeExecuteInParallel(branch, branch, event0, event1, aux)
    saxpy.launch(shape, elements, 1, left, right)
    left.dispose()
    if (round % 50 === 0) assert.ok((await right.read()).every((value) => value === 12))
    right.dispose()
  }
}

/** Nanoseconds of this thread for one fork-join of two launches. */
function hostTime(device: Device): void {
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const [x, y, z] = [device.zeros("float32", 1), device.zeros("float32", 1), device.zeros("float32", 1)]
  const left = () => saxpy.launch({ grid: 1, block: 1 }, 1, 2, x, y)
  const right = () => saxpy.launch({ grid: 1, block: 1 }, 1, 2, x, z)
  const time = (name: string, call: () => void) => {
    const samples: number[] = []
    for (let turn = 0; turn < 60; turn++) {
      const started = performance.now()
      for (let i = 0; i < 200; i++) call()
      samples.push(((performance.now() - started) / 200) * 1e6)
      device.synchronize()
    }
    console.log(`${name}: ${Math.round(samples.sort((a, b) => a - b)[30] ?? 0)} ns of host time`)
  }
  time("launch", left)
  time("fork-join of two launches", () => void maybeExecuteInParallel(left, right, event0, event1, aux))
}

function conformance(suite: string): void {
  const path = fileURLToPath(new URL(`../../test/conformance/${suite}.test.js`, import.meta.url))
  const { status } = spawnSync(process.execPath, ["--test", "--test-reporter=spec", path], {
    stdio: "inherit",
    env: { ...process.env, AUXSTREAM_TEST_DEVICE: "cuda:0" },
    timeout: 60_000,
  })
  if (status !== 0) process.exitCode = 1
}

for (const { id, name, reason } of listDevices()) console.log(`${id}: ${name}, ${reason ?? "usable"}`)
const device = openDevice("cuda:0")
await step("compile and load", () => saxpy.prepare(device))
await step("launch, a million elements right", () => launch(device))
await step("100 fork-joins, right, disposed of at once", () => forkJoin(device))
hostTime(device)
await step("completed()", () => device.completed())
device.dispose()
await step("conformance of streams", () => conformance("streams"))

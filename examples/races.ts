/**
 * Three data races, each from an accident in a real program, and what the sanitizer says about them. Each function below is
 * a mistake; the sanitizer names the call that mends it. See docs/sanitizer.md.
 */

import {
  captureGraph,
  DataRaceError,
  defineKernel,
  type DeviceArray,
  maybeExecuteInParallel,
  openDevice,
  startSanitizer,
} from "auxstream"

/** Multiplies in place. */
const scale = defineKernel({
  name: "scale",
  signature: ["int32", "float32", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void scale(int n, float a, float* x) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] *= a;
    }`,
  },
  host: { source: "export function scale(launch, n, a, x) { for (let i = 0; i < n; i++) x[i] *= a }" },
})

/** Sums an array up into one number. */
const sum = defineKernel({
  name: "sum",
  signature: ["int32", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void sum(int n, const float* x, float* out) {
      if (blockIdx.x + threadIdx.x != 0) return;
      out[0] = 0;
      for (int i = 0; i < n; i++) out[0] += x[i];
    }`,
  },
  host: {
    source: "export function sum(launch, n, x, out) { out[0] = 0; for (let i = 0; i < n; i++) out[0] += x[i] }",
  },
})

const device = openDevice()
const aux = device.createStream({ name: "aux" })
const over = (n: number) => ({ grid: Math.ceil(n / 256), block: 256 })

/** One array is given to both branches, and one of them changes it in place. */
function sharedInput(): void {
  const x = device.full("float32", 1024, 1)
  const result = device.zeros("float32", 1)
  maybeExecuteInParallel(
    () => sum.launch(over(1024), 1024, x, result),
    () => scale.launch(over(1024), 1024, 0.5, x),
    device.createEvent(),
    device.createEvent(),
    aux,
  )
}

/** A cache has a row for each token. A side stream adds a row while the rows up to that one are read. */
function overlappingRows(): void {
  const width = 64
  const cache = device.zeros("float32", 16 * width)
  const result = device.zeros("float32", 1)
  const rows = (begin: number, end: number): DeviceArray<"float32"> => cache.subarray(begin * width, end * width)
  const ready = aux.record() // too early: the new row is not queued yet
  aux.run(() => rows(7, 8).fill(1))
  ready.wait()
  sum.launch(over(8 * width), 8 * width, rows(0, 8), result)
}

/** A graph reads its input when it runs. The next input is copied while it may still do so. */
function nextInput(): void {
  const input = device.zeros("float32", 256)
  const result = device.zeros("float32", 1)
  const step = captureGraph(() => sum.launch(over(256), 256, input, result))
  step.launch()
  aux.run(() => input.copyFrom(new Float32Array(256).fill(2)))
}

startSanitizer()
for (const mistake of [sharedInput, overlappingRows, nextInput]) {
  try {
    mistake()
    console.log("No race was found.")
  } catch (error) {
    if (!(error instanceof DataRaceError)) throw error
    console.log(`${error.message}\n`)
  }
  device.synchronize()
}
device.dispose()

/**
 * Another library's work on an auxstream stream: the CUDA runtime's cudaMemcpyAsync, called through koffi. Work queued before
 * and after it runs in order, and its arrays may be disposed of immediately.
 */

import { defineKernel, openDevice } from "auxstream"
import { loadCudaRuntime } from "./cuda-runtime.js"

const scale = defineKernel({
  name: "scale",
  signature: ["int32", "float32", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void scale(int n, float factor, float* x) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] *= factor;
    }`,
  },
  host: { source: "export function scale(launch, n, factor, x) { for (let i = 0; i < n; i++) x[i] *= factor }" },
})

const device = openDevice()
const stream = device.createStream()
const runtime = device.kind === "cuda" ? await loadCudaRuntime() : "no CUDA device is open"
if (typeof runtime === "string") console.log(`There is no CUDA runtime (${runtime}), so copyFrom makes the copy.`)

const copy = stream.run(() => {
  const x = device.from(Float32Array.of(1, 2, 3))
  const copy = device.empty("float32", x.length)
  scale.launch({ grid: 1, block: 256 }, x.length, 10, x) // auxstream, before the copy
  if (typeof runtime === "string") copy.copyFrom(x)
  else {
    stream.external({ reads: [x], writes: [copy] }, (handle) => {
      runtime.memcpyAsync(copy.address, x.address, x.byteLength, handle) // the CUDA runtime
    })
  }
  x.dispose() // immediately: its memory is reused only after the copy
  scale.launch({ grid: 1, block: 256 }, copy.length, 10, copy) // auxstream, after the copy
  return copy
})
console.log(...(await stream.run(() => copy.read()))) // 100 200 300
device.dispose()

/** Two launches side by side, each on its own stream: on a GPU if there is one, otherwise on worker threads. */

import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"

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
const aux = device.createStream()
const [a, b] = [device.from(Float32Array.of(1, 2, 3)), device.from(Float32Array.of(4, 5, 6))]
maybeExecuteInParallel(
  () => scale.launch({ grid: 1, block: 256 }, 3, 2, a), // on the current stream
  () => scale.launch({ grid: 1, block: 256 }, 3, 10, b), // on the aux stream
  device.createEvent(),
  device.createEvent(),
  aux, // null: both run one after the other
)
console.log(...(await a.read()), ...(await b.read())) // 2 4 6 40 50 60
device.dispose()

/**
 * A late join. A layer's shared expert needs only the layer's input, so it starts first and is joined where its result is
 * needed. Meanwhile the router runs, the host reads which expert it chose, and that expert runs.
 */

import { defineKernel, fork, openDevice, type DeviceArray } from "auxstream"

/** y = W x, with W stored row by row. */
const linear = defineKernel({
  name: "linear",
  signature: ["int32", "int32", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void linear(int rows, int columns, const float* w, const float* x, float* y) {
      int row = blockIdx.x * blockDim.x + threadIdx.x;
      if (row >= rows) return;
      float sum = 0;
      for (int column = 0; column < columns; column++) sum += w[row * columns + column] * x[column];
      y[row] = sum;
    }`,
  },
  host: {
    source: `export function linear(launch, rows, columns, w, x, y) {
      for (let row = 0; row < rows; row++) {
        let sum = 0
        for (let column = 0; column < columns; column++) sum += w[row * columns + column] * x[column]
        y[row] = sum
      }
    }`,
  },
})

const add = defineKernel({
  name: "add",
  signature: ["int32", "in float32*", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void add(int n, const float* x, float* y) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) y[i] += x[i];
    }`,
  },
  host: { source: "export function add(launch, n, x, y) { for (let i = 0; i < n; i++) y[i] += x[i] }" },
})

const hidden = 4
const device = openDevice()
/** A matrix that scales by a factor. */
const scaling = (factor: number) =>
  device.from(Float32Array.from({ length: hidden * hidden }, (_, i) => (i % (hidden + 1) === 0 ? factor : 0)))

const router = device.from(Float32Array.of(0, 0, 0, 1, 4, 0, 0, 0, 0, 2, 2, 0)) // three experts, four weights each
const experts = [scaling(1), scaling(10), scaling(100)]
const shared = scaling(-1)

function multiply(weights: DeviceArray<"float32">, x: DeviceArray<"float32">): DeviceArray<"float32"> {
  const rows = weights.length / x.length
  const y = device.empty("float32", rows)
  linear.launch({ grid: Math.ceil(rows / 256), block: 256 }, rows, x.length, weights, x, y)
  return y
}

/** At the end, the scope disposes of everything made inside except the result. */
function layer(x: DeviceArray<"float32">): Promise<DeviceArray<"float32">> {
  return device.scope(async () => {
    const aside = fork(() => multiply(shared, x)) // starts now, on its own stream

    const scores = await multiply(router, x).read()
    const chosen = scores.indexOf(Math.max(...scores))
    console.log(`The router chose expert ${chosen}.`)
    const y = multiply(experts[chosen] ?? shared, x)

    add.launch({ grid: 1, block: 256 }, y.length, aside.join(), y) // later work runs after the fork
    return y
  })
}

const y = await layer(device.from(Float32Array.of(1, 2, 3, 4)))
console.log(...(await y.read())) // 99 198 297 396: a hundred times, less the shared expert's once
device.dispose()

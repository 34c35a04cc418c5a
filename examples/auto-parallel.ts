/**
 * A small mixture-of-experts layer, written in sequence. `autoParallel` runs the shared expert beside the routed ones, and
 * shows why each operation waits for which. Then the same layer as a graph.
 */

import { autoParallel, captureGraph, defineKernel, openDevice, withMultiStream, type DeviceArray } from "auxstream"

/** y = W x, with W stored row by row. */
const linear = defineKernel({
  name: "linear",
  signature: ["int32", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void linear(int n, const float* w, const float* x, float* y) {
      int row = blockIdx.x * blockDim.x + threadIdx.x;
      if (row >= n) return;
      float sum = 0;
      for (int column = 0; column < n; column++) sum += w[row * n + column] * x[column];
      y[row] = sum;
    }`,
  },
  host: {
    source: `export function linear(launch, n, w, x, y) {
      for (let row = 0; row < n; row++) {
        let sum = 0
        for (let column = 0; column < n; column++) sum += w[row * n + column] * x[column]
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

const n = 64
const shape = { grid: 1, block: 256 }
const device = openDevice()
type Floats = DeviceArray<"float32">

/** Weights that multiply by a factor. */
function weights(factor: number): Floats {
  const matrix = new Float32Array(n * n)
  for (let row = 0; row < n; row++) matrix[row * n + row] = factor
  return device.from(matrix)
}

function project(w: Floats, x: Floats): Floats {
  const y = device.empty("float32", n)
  linear.launch(shape, n, w, x, y)
  return y
}

const [up, down, sharedUp, sharedDown] = [weights(2), weights(3), weights(5), weights(7)]

/** No stream, no event: just the calls, one after another. */
function layer(x: Floats): Floats {
  return device.scope(() => {
    const routed = project(down, project(up, x))
    const shared = project(sharedDown, project(sharedUp, x))
    add.launch(shape, n, shared, routed)
    return routed
  })
}

const x = device.full("float32", n, 1)
const inSequence = withMultiStream(false, () => autoParallel(() => layer(x)))
const sideBySide = autoParallel(() => layer(x), {
  explain({ operations, streamCount }) {
    console.log(`${operations.length} operations on ${streamCount} streams:`)
    for (const { index, label, stream, edges } of operations) {
      const after = edges.filter(({ by }) => by !== "other edges").map(({ from, by }) => `${from} (${by})`)
      console.log(`${index} ${label} on stream ${stream}${after.length > 0 ? ` after ${after.join(", ")}` : ""}`)
    }
  },
})
console.log((await inSequence.read())[0], (await sideBySide.read())[0]) // 41 41

const graph = captureGraph(() => autoParallel(() => layer(x)))
x.fill(2)
graph.launch()
console.log(`As a graph with ${graph.branchCount} branches: ${(await graph.result.read())[0]}`) // 82
device.dispose()

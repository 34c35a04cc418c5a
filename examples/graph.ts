/**
 * A decode loop. The model's step, with a second branch in every layer, is captured once as a graph and launched for each
 * token. A step reads the token that the previous step has chosen, so the host only launches. The graph reads from an array
 * where to begin.
 */

import { captureGraph, defineKernel, openDevice, parallel, type DeviceArray } from "auxstream"

type Numbers = DeviceArray<"float32">

/** x = the row of the newest token. tokens[0] is the number of tokens; the tokens follow it. */
const embed = defineKernel({
  name: "embed",
  signature: ["int32", "in int32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void embed(int n, const int* tokens, const float* table, float* x) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] = table[tokens[tokens[0]] * n + i];
    }`,
  },
  host: {
    source: `export function embed(launch, n, tokens, table, x) {
      const row = tokens[tokens[0]] * n
      for (let i = 0; i < n; i++) x[i] = table[row + i]
    }`,
  },
})

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

/** x = x + tanh(a) + tanh(b) */
const add = defineKernel({
  name: "add",
  signature: ["int32", "in float32*", "in float32*", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void add(int n, const float* a, const float* b, float* x) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] += tanhf(a[i]) + tanhf(b[i]);
    }`,
  },
  host: {
    source: `export function add(launch, n, a, b, x) {
      for (let i = 0; i < n; i++) x[i] += Math.tanh(a[i]) + Math.tanh(b[i])
    }`,
  },
})

/** Appends the token with the highest score. */
const choose = defineKernel({
  name: "choose",
  signature: ["int32", "in float32*", "inout int32*"],
  cuda: {
    source: `extern "C" __global__ void choose(int n, const float* scores, int* tokens) {
      int best = 0;
      for (int i = 1; i < n; i++) if (scores[i] > scores[best]) best = i;
      tokens[++tokens[0]] = best;
    }`,
  },
  host: {
    source: `export function choose(launch, n, scores, tokens) {
      let best = 0
      for (let i = 1; i < n; i++) if (scores[i] > scores[best]) best = i
      tokens[++tokens[0]] = best
    }`,
  },
})

const hidden = 64
const vocabulary = 64
const steps = 200
const device = openDevice()
const cover = (length: number) => ({ grid: Math.ceil(length / 256), block: 256 })

/** Numbers around 0, the same in every run. */
let seed = 1
function random(rows: number, columns: number): Numbers {
  const numbers = Float32Array.from({ length: rows * columns }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0
    return seed / 2 ** 31 / 4
  })
  return device.from(numbers)
}

const table = random(vocabulary, hidden)
const output = random(vocabulary, hidden)
const layers = Array.from({ length: 12 }, () => [random(hidden, hidden), random(hidden, hidden)] as const)
const tokens = device.zeros("int32", 2 + steps)

function multiply(weights: Numbers, x: Numbers): Numbers {
  const y = device.empty("float32", weights.length / x.length)
  linear.launch(cover(y.length), y.length, x.length, weights, x, y)
  return y
}

/** Queues one step. Its intermediate arrays are disposed of at its end; in a graph, their memory belongs to the graph. */
function step(): void {
  device.scope(() => {
    const x = device.empty("float32", hidden)
    embed.launch(cover(hidden), hidden, tokens, table, x)
    for (const [left, right] of layers) {
      device.scope(() => {
        const [a, b] = parallel([() => multiply(left, x), () => multiply(right, x)])
        add.launch(cover(hidden), hidden, a, b, x)
      })
    }
    choose.launch({ grid: 1, block: 1 }, vocabulary, multiply(output, x), tokens)
  })
}

/** Decodes from a first token. Returns the tokens, and milliseconds per step. */
async function decode(first: number, next: () => void): Promise<{ text: string; time: string }> {
  tokens.subarray(0, 2).copyFrom(Int32Array.of(1, first))
  await device.completed()
  const start = performance.now()
  for (let count = 0; count < steps; count++) next()
  await device.completed()
  const time = `${((performance.now() - start) / steps).toFixed(3)} ms a step`
  return { text: (await tokens.read()).slice(1, 13).join(" "), time }
}

await Promise.all([embed, linear, add, choose].map((kernel) => kernel.prepare(device)))
const graph = captureGraph(step)
console.log(`Captured: ${graph.nodeCount} operations on ${graph.branchCount} streams.`)

for (const way of [step, () => graph.launch()]) await decode(0, way) // warms up
for (const first of [5, 23]) {
  const eager = await decode(first, step)
  const captured = await decode(first, () => graph.launch())
  console.log(`eager     ${eager.time}: ${eager.text} …`)
  console.log(`captured  ${captured.time}: ${captured.text} …`)
}

// `dot -Tsvg` draws the whole text.
console.log([...graph.toDot().split("\n").slice(0, 8), "…"].join("\n"))
device.dispose()

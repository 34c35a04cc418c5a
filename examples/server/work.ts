/** The work for a request: two pieces that need only the input, then one that needs both. */

import { defineKernel, type Device, type DeviceArray, maybeExecuteInParallel, parallel } from "auxstream"

const host = { module: new URL("host-kernels.js", import.meta.url) }

const iterate = defineKernel({
  name: "iterate",
  signature: ["int32", "int32", "float32", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void iterate(int n, int rounds, float factor, const float* x, float* y) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i >= n) return;
      float value = x[i];
      for (int round = 0; round < rounds; round++) value = value * factor + 1;
      y[i] = value;
    }`,
  },
  host,
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
  host,
})

/** A request. */
export interface Question {
  /** Aborts when the client has disconnected. */
  readonly signal?: AbortSignal | undefined
  readonly numbers: Float32Array<ArrayBuffer>
  readonly rounds: number
}

/** If the device can, it drops a launch that has not begun when the signal aborts. */
const over = (n: number, signal?: AbortSignal) => ({ grid: Math.ceil(n / 256), block: 256, signal })

/** Compiles and loads everything, so that the first request need not wait. */
export async function prepare(device: Device): Promise<void> {
  await Promise.all([iterate.prepare(device), add.prepare(device)])
}

/** The two independent pieces, as functions that queue them on the current stream. */
function piecesOf(
  { numbers, rounds, signal }: Question,
  x: DeviceArray<"float32">,
  left: DeviceArray<"float32">,
  right: DeviceArray<"float32">,
) {
  const n = numbers.length
  return [
    () => iterate.launch(over(n, signal), n, rounds, 0.5, x, left),
    () => iterate.launch(over(n, signal), n, rounds, 0.25, x, right),
  ] as const
}

/**
 * Answers on two streams that belong to this request alone. Requests share nothing, so none waits for another or fails
 * with another. When the request fails or is aborted, everything is disposed of immediately: queued work still finishes, and
 * its memory is reused afterwards.
 */
export async function answer(device: Device, question: Question): Promise<Float32Array> {
  using main = device.createStream()
  using aux = device.createStream()
  using event0 = device.createEvent()
  using event1 = device.createEvent()
  return await main.run(async () => {
    const n = question.numbers.length
    using x = device.from(question.numbers)
    using left = device.empty("float32", n)
    using right = device.empty("float32", n)
    const [toLeft, toRight] = piecesOf(question, x, left, right)
    maybeExecuteInParallel(toLeft, toRight, event0, event1, aux)
    add.launch(over(n, question.signal), n, left, right)
    return await right.read({ signal: question.signal })
  })
}

/** The same with a stream of the device's pool. */
export async function answerOnPool(device: Device, question: Question): Promise<Float32Array> {
  using main = device.createStream()
  return await main.run(async () => {
    const n = question.numbers.length
    using x = device.from(question.numbers)
    using left = device.empty("float32", n)
    using right = device.empty("float32", n)
    parallel(piecesOf(question, x, left, right))
    add.launch(over(n, question.signal), n, left, right)
    return await right.read({ signal: question.signal })
  })
}

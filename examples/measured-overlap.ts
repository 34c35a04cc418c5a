/**
 * The library decides. Two halves of an array are scaled, side by side or one after the other: which is faster depends on
 * their size and on the machine. The policy alternates the program's own calls until it knows, for each size.
 *
 * With a file, the next run begins with these decisions: node build/examples/measured-overlap.js decisions.json
 */

import { defineKernel, measuredOverlap, openDevice, parallel } from "auxstream"

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
const [, , file] = process.argv
const policy = measuredOverlap({ name: "halves", file })

for (const n of [256, 65_536, 1_048_576]) {
  using left = device.full("float32", n, 1)
  using right = device.full("float32", n, 1)
  const shape = { grid: Math.ceil(n / 256), block: 256 }
  const halves = [() => scale.launch(shape, n, -1, left), () => scale.launch(shape, n, -1, right)] as const
  for (let step = 0; step < 200; step++) {
    parallel(halves, { overlap: policy, key: n })
    if (step % 10 === 9) await device.completed()
  }
  console.log(`${n}: ${left.readSync()[n - 1]}, ${right.readSync()[n - 1]}`) // 200 steps change the sign 200 times
}

policy.report() // prints which way each size runs, and what a call takes each way
device.dispose()

/** Your own WebAssembly kernel draws two halves of a picture on two streams. README.md says how to build it. */

import { defineKernel, openDevice, parallel } from "auxstream"

const mandelbrot = defineKernel({
  name: "mandelbrot",
  signature: ["int32", "int32", "int32", "int32", "int32", "out uint8*"],
  cuda: {
    // Without fused multiply-add the GPU rounds like WebAssembly, so both draw the same picture.
    options: ["--fmad=false"],
    source: `extern "C" __global__ void mandelbrot(
        int width, int height, int firstRow, int rows, int limit, unsigned char* steps) {
      int column = blockIdx.x * blockDim.x + threadIdx.x;
      int row = blockIdx.y * blockDim.y + threadIdx.y;
      if (column >= width || row >= rows) return;
      double x0 = column * (3.2 / width) - 2.2;
      double y0 = (firstRow + row) * (2.4 / height) - 1.2;
      double x = 0, y = 0;
      int count = 0;
      while (count < limit && x * x + y * y <= 4) {
        double xy = x * y;
        x = x * x - y * y + x0;
        y = xy + xy + y0;
        count++;
      }
      steps[row * width + column] = count;
    }`,
  },
  host: { wasm: new URL("mandelbrot.wasm", import.meta.url) },
})

const [width, height, limit] = [72, 30, 250] as const

const device = openDevice()
const half = height / 2
const block = [16, 16] as const
const grid = [Math.ceil(width / block[0]), Math.ceil(half / block[1])] as const

function draw(firstRow: number) {
  const steps = device.empty("uint8", width * half)
  mandelbrot.launch({ grid, block }, width, height, firstRow, half, limit, steps)
  return steps
}

for (const steps of parallel([() => draw(0), () => draw(half)])) {
  const counts = await steps.read()
  for (let row = 0; row < half; row++) {
    console.log(Array.from(counts.subarray(row * width, (row + 1) * width), shade).join(""))
  }
}
device.dispose()

function shade(steps: number): string {
  return steps === limit ? "@" : (" .:-=+*#%"[Math.min(8, Math.floor(Math.log2(steps)))] ?? " ")
}

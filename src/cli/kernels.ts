/** The kernels that `doctor` and `bench` launch, for both devices. */
import { defineKernel } from "../index.js"

/** Almost empty, with four arguments. */
export const touch = defineKernel({
  name: "touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void touch(int n, float factor, const float* x, float* y) {
      if (threadIdx.x < n) y[threadIdx.x] += factor * x[threadIdx.x];
    }`,
  },
  host: { source: "export function touch(launch, n, factor, x, y) { if (n > 0) y[0] += factor * x[0] }" },
})

/** Keeps a stream busy for some milliseconds, with one block. */
export const spin = defineKernel({
  name: "spin",
  signature: ["float64"],
  cuda: {
    source: `extern "C" __global__ void spin(double milliseconds) {
      unsigned long long start, now;
      asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
      do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); while (now - start < 1e6 * milliseconds);
    }`,
  },
  host: {
    source: `export function spin(launch, milliseconds) {
      const end = performance.now() + milliseconds
      while (performance.now() < end);
    }`,
  },
})

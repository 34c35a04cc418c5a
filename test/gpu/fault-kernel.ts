import { defineKernel } from "../../src/index.js"

/** Writes to an address without memory. */
export const fault = defineKernel({
  name: "test_fault",
  signature: [],
  cuda: { source: `extern "C" __global__ void test_fault() { *(volatile int*)8 = 1; }` },
})

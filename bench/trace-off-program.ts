/**
 * A process of the benchmark `trace-off`: measures launches and fork-joins when it is told to. `traced` as its argument: it traces
 * once before, and stops. The device is the host, or what AUXSTREAM_DEVICE names.
 */
import { defineKernel, maybeExecuteInParallel, openDevice, startTrace } from "auxstream"
import type { Turn } from "./trace-off.js"

const OPERATIONS = 300

const affine = defineKernel({
  name: "test_affine",
  signature: ["int32", "inout int32*", "int32", "int32"],
  cuda: {
    source: `extern "C" __global__ void test_affine(int n, int* x, int a, int b) { if (threadIdx.x < n) x[0] = x[0] * a + b; }`,
  },
  host: { source: "export function test_affine(launch, n, x, a, b) { x[0] = Math.imul(x[0], a) + b }" },
})

const device = process.env["AUXSTREAM_DEVICE"] === undefined ? openDevice("host") : openDevice()
const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
const once = { grid: 1, block: 1 }
const left = () => affine.launch(once, 1, a, 3, 1)
const right = () => affine.launch(once, 1, b, 3, 1)
const forkJoin = () => maybeExecuteInParallel(left, right, event0, event1, aux)

/** Nanoseconds of the host for one call. */
function measure(call: () => unknown): number {
  device.synchronize()
  const start = performance.now()
  for (let index = 0; index < OPERATIONS; index++) call()
  return ((performance.now() - start) * 1e6) / OPERATIONS
}

async function begin(): Promise<void> {
  for (let round = 0; round < 30; round++) for (const call of [left, forkJoin]) measure(call)
  if (process.argv[2] === "traced") {
    const trace = startTrace({ times: process.argv[3] === "cupti" ? "cupti" : "events" })
    for (const call of [left, forkJoin]) measure(call)
    await trace.stop()
  }
  process.on("message", () => process.send?.({ launch: measure(left), forkJoin: measure(forkJoin) } satisfies Turn))
  process.on("disconnect", () => process.exit())
  process.send?.("ready")
}

await begin()

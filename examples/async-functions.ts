/**
 * Async functions side by side. Each reads a file, uploads it and counts its bytes. The work of each runs on its own
 * stream, whichever file arrives first, because the current stream follows every `await`.
 */

import { readFile } from "node:fs/promises"
import { currentStream, defineKernel, maybeExecuteInParallel, openDevice, type DeviceArray } from "auxstream"

const histogram = defineKernel({
  name: "histogram",
  signature: ["int32", "in uint8*", "inout uint32*"],
  cuda: {
    source: `extern "C" __global__ void histogram(int n, const unsigned char* bytes, unsigned int* counts) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) atomicAdd(&counts[bytes[i]], 1u);
    }`,
  },
  host: {
    source: "export function histogram(launch, n, bytes, counts) { for (let i = 0; i < n; i++) counts[bytes[i]]++ }",
  },
})

const device = openDevice()
const [event0, event1] = [device.createEvent(), device.createEvent()]
const aux = device.createStream({ name: "the aux stream" })

/** How often each byte occurs in a file of the project. */
function countBytes(name: string): Promise<DeviceArray<"uint32">> {
  return device.scope(async () => {
    const bytes = await readFile(new URL(`../../${name}`, import.meta.url))
    console.log(`${name} is counted on ${currentStream().name}.`)
    const counts = device.zeros("uint32", 256)
    const block = 256
    histogram.launch({ grid: Math.ceil(bytes.length / block), block }, bytes.length, device.from(bytes), counts)
    return counts
  })
}

const names = ["LICENSE", "package.json"] as const
const [license, manifest] = await maybeExecuteInParallel(
  () => countBytes(names[0]),
  () => countBytes(names[1]),
  event0,
  event1,
  aux,
)
// The current stream waits for both, so it can read both.
for (const [name, counts] of [
  [names[0], license],
  [names[1], manifest],
] as const) {
  const found = await counts.read()
  console.log(`${name}: ${found["e".charCodeAt(0)]} times "e", ${found["\n".charCodeAt(0)]} lines.`)
}
device.dispose()

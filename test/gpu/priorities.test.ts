/** §7: the effect of priorities on a GPU. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, currentStream, defineKernel, openDevice } from "../../src/index.js"
import { findGpu } from "./gpu.js"

const gpu = findGpu()
const skip =
  gpu === undefined ? "NOT TESTED: priorities. The driver's double runs every stream on a thread of its own." : false

/** Each block works for a while, then takes a number: `last` is the number of the last block. */
const blocks = defineKernel({
  name: "test_numbered_blocks",
  signature: ["int32", "inout int32*", "inout int32*"],
  cuda: {
    source: `extern "C" __global__ void test_numbered_blocks(int ns, int* next, int* last) {
      unsigned long long begin, now;
      asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
      do { asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); } while (now - begin < (unsigned long long)ns);
      if (threadIdx.x == 0) atomicMax(last, atomicAdd(next, 1));
    }`,
  },
})

/** More blocks than run at once, and as many times more. */
const few = 264
const flood = few * 32

for (const way of ["one by one", "as a graph", "as a graph inside another one"]) {
  test(
    `§7 few blocks of a high priority end before most of a flood that was queued first: ${way}`,
    { skip },
    async () => {
      using device = openDevice("cuda:0")
      await blocks.prepare(device)
      const { greatest, least } = device.driver.priorities
      using low = device.createStream({ priority: least })
      using high = device.createStream({ priority: greatest })
      const numbers = device.zeros("int32", 3)
      const next = numbers.subarray(0, 1)
      const lastOfFlood = numbers.subarray(1, 2)
      const lastOfFew = numbers.subarray(2, 3)
      const work = () => {
        const main = currentStream(device)
        for (const stream of [low, high]) stream.wait(main)
        blocks.launch({ grid: flood, block: 1024, stream: low }, 20_000, next, lastOfFlood)
        blocks.launch({ grid: few, block: 1024, stream: high }, 20_000, next, lastOfFew)
        for (const stream of [low, high]) main.wait(stream)
      }
      using graph = captureGraph(work)
      using outer = captureGraph(() => graph.launch())
      const run = { "one by one": work, "as a graph": () => graph.launch() }[way] ?? (() => outer.launch())
      for (let round = 0; round < 3; round++) {
        numbers.fill(0)
        run()
        const [taken = 0, floodEnd = 0, fewEnd = 0] = numbers.readSync()
        assert.equal(taken, flood + few)
        assert.equal(Math.max(floodEnd, fewEnd), taken - 1)
        assert.ok(fewEnd < taken / 2, `the last of the few was number ${fewEnd} of ${taken}`)
      }
    },
  )
}

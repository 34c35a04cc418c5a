import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { defineKernel, fork, openDevice, parallel, startSanitizer } from "../../src/index.js"
import { collect, collectUntil } from "../support/collect.js"
import { Collected } from "../support/collected.js"
import { affine, once } from "../support/kernels.js"

/** `AUXSTREAM_LAUNCHES=1000000` runs the whole million. */
const launches = Number(process.env["AUXSTREAM_LAUNCHES"] ?? 8_000)

const nothing = defineKernel({
  name: "nothing",
  signature: ["inout int32*"],
  host: { source: "export function nothing() {}" },
})

async function heapUsed(): Promise<number> {
  await collect()
  await collect()
  return process.memoryUsage().heapUsed
}

describe("§13 the sanitizer's memory", () => {
  test("is bounded over many launches, forks, streams, arrays and rows", async () => {
    using device = openDevice("host")
    using _ = startSanitizer({ stacks: false })
    const x = device.zeros("int32", 1000)
    const round = (count: number) => {
      const made = device.empty("int32", 100 + (count % 50))
      parallel([() => nothing.launch(once, made), () => nothing.launch(once, x.subarray(count % 900, 950))])
      fork(() => x.fill2D(1, { width: 1, height: 2 + (count % 5), pitch: 7 })).join()
      if (count % 10 === 0) {
        using stream = device.createStream()
        stream.wait(device.defaultStream)
        nothing.launch({ ...once, stream }, made)
        device.defaultStream.wait(stream)
      }
      made.dispose()
      if (count % 500 === 0) device.synchronize()
    }
    for (let count = 0; count < launches / 4; count++) round(count)
    const before = await heapUsed()
    for (let count = 0; count < launches; count++) round(count)
    device.synchronize()
    const grown = (await heapUsed()) - before
    assert.ok(grown < 6_000_000, `the heap grew by ${grown} bytes over ${launches} rounds`)
  })

  test("holds no object of the program: objects on a stack when it launches can be collected", async () => {
    using device = openDevice("host")
    using _ = startSanitizer()
    const x = device.zeros("int32", 8)
    const collected = new Collected()
    class Layer {
      readonly weights = new Uint8Array(1_000_000)
      run(): void {
        affine.launch(once, 8, x, 1, 1)
      }
    }
    for (let count = 0; count < 10; count++) collected.watch(new Layer()).run()
    await collectUntil(() => collected.count === 10, "the layers are collected")
  })
})

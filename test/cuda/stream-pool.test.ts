/** The driver calls for choosing pool streams, and the end of a lease. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import { captureGraph, type Device, fork, openDevice, parallel, type Stream } from "../../src/index.js"
import { affine, over, prepare } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { double, skip } from "./double.js"

const nothing = () => {}

/** The number of stream queries of a call. */
function queriesOf(call: () => void): number {
  const before = double.count("cuStreamQuery") + double.count("cuEventQuery")
  call()
  return double.count("cuStreamQuery") + double.count("cuEventQuery") - before
}

/** Leaves pool streams with held work. */
function occupy(device: Device, latch: Latch, count: number): Stream[] {
  const mains = Array.from({ length: count }, () => device.createStream())
  for (const main of mains) {
    latch.hold(main)
    main.run(() => parallel([nothing, nothing]))
  }
  return mains
}

describe("the choice of a pool stream", { skip }, () => {
  test("makes no query if the current stream is ordered behind a pool stream's newest work", async () => {
    using device = openDevice("cuda:0")
    await prepare(device)
    using x = device.zeros("int32", 4)
    const layer = () => parallel([nothing, () => affine.launch(over(4), 4, x, 2, 1)])
    layer()
    assert.equal(
      queriesOf(() => {
        for (let count = 0; count < 20; count++) layer()
      }),
      0,
    )
  })

  test("makes at most two queries in a call, however many streams it needs and however many are busy", async () => {
    using device = openDevice("cuda:0")
    await prepare(device)
    using latch = new Latch(device)
    const mains = occupy(device, latch, 20)
    using main = device.createStream()
    const queries = [
      queriesOf(() => main.run(() => parallel([nothing, nothing, nothing, nothing, nothing]))),
      queriesOf(() => main.run(() => fork(nothing).join())),
    ]
    latch.open()
    assert.deepEqual(queries, [2, 2])
    for (const one of mains) one.dispose()
  })

  test("makes no query in a capture", async () => {
    using device = openDevice("cuda:0")
    await prepare(device)
    using latch = new Latch(device)
    const mains = occupy(device, latch, 20)
    let queries = -1
    using graph = captureGraph(() => {
      queries = queriesOf(() => {
        parallel([nothing, nothing, nothing])
        fork(nothing).join()
      })
    })
    latch.open()
    assert.equal(queries, 0)
    assert.equal(graph.nodeCount, 0)
    for (const one of mains) one.dispose()
  })

  test("a lease's workspace is freed in the stream's order at its end", () => {
    using device = openDevice("cuda:0")
    const a = device.from(Float32Array.of(1, 2, 3, 4))
    const outs = Array.from({ length: 20 }, () => device.zeros("float32", 4))
    device.synchronize()
    const { used } = device.memory
    const product = (out: (typeof outs)[number]) => matmul({ a, b: a, out, m: 2, n: 2, k: 2 })
    const mains = outs.map(() => device.createStream())
    const forks = outs.map((out, index) => mains[index]?.run(() => fork(() => product(out))))
    forks.forEach((forked, index) => mains[index]?.run(() => forked?.join()))
    assert.equal(device.memory.used, used)
    device.synchronize()
    for (const out of outs) assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
    for (const main of mains) main.dispose()
  })
})

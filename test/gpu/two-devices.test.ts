/** §4, §5 rule 8, §7: two CUDA devices in one process, used alternately on one thread. */
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  currentStream,
  type Device,
  maybeExecuteInParallel,
  openDevice,
  parallel,
} from "../../src/index.js"
import { refused } from "../support/errors.js"
import * as kernels from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { findDevices } from "./gpu.js"

const { affine, combine, over } = kernels
const found = await findDevices(2)
const skip = "missing" in found ? found.missing : false
// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

const count = 1000

describe(`two devices: ${"names" in found ? found.names.join(" and ") : "none"}`, { skip }, () => {
  let devices: [Device, Device]

  before(() => {
    devices = [openDevice("cuda:0"), openDevice("cuda:1")]
    // CUDA loads no kernel while a latch is closed.
    for (const device of devices)
      for (const kernel of [kernels.latch, kernels.spin, affine, combine]) kernel.load(device)
  })
  after(() => {
    for (const device of devices) device.dispose()
  })

  /** The contents of the array after repeated fork-joins. */
  function expected(rounds: number, factor: number): Int32Array {
    let [value, beside] = [1, 0]
    for (let round = 0; round < rounds; round++) {
      const sum = Math.imul(value, factor) + 1
      beside = Math.imul(beside, 3) + value
      value = Math.imul(sum, 3) + beside
    }
    return new Int32Array(count).fill(value)
  }

  test("§4 alternating fork-joins whose arrays are disposed of at once give exact results on both", () => {
    const rounds = 300
    const parts = devices.map((device, index) => ({
      device,
      factor: index + 5,
      aux: device.createStream(),
      events: [device.createEvent(), device.createEvent()] as const,
      x: device.full("int32", count, 1),
      beside: device.zeros("int32", count),
    }))
    for (let round = 0; round < rounds; round++) {
      for (const { device, factor, aux, events, x, beside } of parts) {
        const [sum] = maybeExecuteInParallel(
          () => {
            const sum = device.empty("int32", count).copyFrom(x)
            affine.launch(over(count), count, sum, factor, 1)
            return sum
          },
          () => combine.launch(over(count), count, x, beside),
          ...events,
          aux,
        )
        combine.launch(over(count), count, beside, sum)
        x.copyFrom(sum)
        sum.dispose()
      }
    }
    for (const { factor, x, beside } of parts) {
      assert.deepEqual(x.readSync(), expected(rounds, factor))
      for (const array of [x, beside]) array.dispose()
    }
    for (const device of devices) {
      device.synchronize()
      assert.equal(device.memory.used, 0)
      assert.ok(device.memory.peak < 100 * count * 4)
    }
  })

  test("§7 a held device does not block any kind of wait for the other one", async () => {
    const [held, free] = devices
    using latch = new Latch(held).hold()
    using x = free.full("int32", count, 2)
    affine.launch(over(count), count, x, 3, 4)
    await free.completed()
    using event = free.createEvent().record()
    await event.completed()
    assert.deepEqual(await x.read(), new Int32Array(count).fill(10))
    free.synchronize()
    assert.ok(isHeld(held.defaultStream))
    const later = held.completed()
    latch.open()
    await later
    assert.equal(latch.timedOut, false)
  })

  test("§4 current streams are kept for each, across awaits", async () => {
    const [first, second] = devices
    using one = first.createStream({ name: "one" })
    using two = second.createStream({ name: "two" })
    await one.run(async () => {
      await two.run(async () => {
        await second.completed()
        assert.equal(currentStream(first), one)
        assert.equal(currentStream(second), two)
        using x = first.full("int32", count, 1)
        using y = second.full("int32", count, 1)
        affine.launch(over(count), count, x, 2, 3)
        affine.launch(over(count), count, y, 3, 4)
        assert.deepEqual(await y.read(), new Int32Array(count).fill(7))
        assert.deepEqual(await x.read(), new Int32Array(count).fill(5))
      })
      assert.equal(currentStream(second), second.defaultStream)
    })
  })

  test("§4 matmul: alternating products on two streams of each device are right", () => {
    const parts = devices.map((device, index) => ({
      a: device.from(Float32Array.of(1, 2, 3, 4 + index)),
      outs: [device.zeros("float32", 4), device.zeros("float32", 4)] as const,
    }))
    for (let round = 0; round < 20; round++) {
      for (const { a, outs } of parts) {
        const products = outs.map((out) => () => matmul({ a, b: a, out, m: 2, n: 2, k: 2, beta: 1 }))
        a.device.defaultStream.run(() => parallel(products))
      }
    }
    for (const [index, { a, outs }] of parts.entries()) {
      const d = 4 + index
      const square = [7, 2 * (1 + d), 3 * (1 + d), 6 + d * d]
      for (const out of outs) {
        assert.deepEqual(
          [...out.readSync()],
          square.map((value) => 20 * value),
        )
        out.dispose()
      }
      a.dispose()
    }
  })

  test("§5 rule 8: streams, events and arrays of the other device are refused, and nothing is queued", () => {
    const [first, second] = devices
    using other = second.createStream()
    using event = second.createEvent()
    using x = first.full("int32", count, 1)
    using y = second.full("int32", count, 1)
    const mismatch = "AUX_DEVICE_MISMATCH"
    refused(() => first.defaultStream.wait(other), mismatch, "cuda:0", "cuda:1")
    refused(() => first.defaultStream.wait(event), mismatch, "cuda:0", "cuda:1")
    refused(() => event.record(first.defaultStream), mismatch, "cuda:0", "cuda:1")
    refused(() => combine.launch(over(count), count, x, y), mismatch, "cuda:0", "cuda:1")
    refused(() => affine.launch({ ...over(count), stream: other }, count, x, 1, 1), mismatch, "cuda:0", "cuda:1")
    refused(() => x.copyFrom(y), mismatch, "cuda:0", "cuda:1")
    // As another library sees it: the context of the stream.
    refused(() => first.streamFromHandle(other.handle), mismatch, "the primary context of cuda:0")
    assert.deepEqual([x.readSync()[0], y.readSync()[0]], [1, 1])
  })

  test("§5 rule 9: during a capture on one device, work on the other is queued as usual", () => {
    const [first, second] = devices
    using x = first.full("int32", count, 1)
    using y = second.full("int32", count, 1)
    using aux = first.createStream()
    using event0 = first.createEvent()
    using event1 = first.createEvent()
    using graph = captureGraph(
      () => {
        maybeExecuteInParallel(
          () => affine.launch(over(count), count, x, 2, 1),
          () => affine.launch(over(count), count, y, 5, 1),
          event0,
          event1,
          aux,
        )
      },
      { device: first },
    )
    assert.deepEqual(y.readSync(), new Int32Array(count).fill(6))
    for (let i = 0; i < 3; i++) graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(count).fill(15))
    assert.equal(graph.nodeCount, 1)
  })

  test("§8 dispose: one that is closed with work queued leaves the other alone", async () => {
    const [first] = devices
    using latch = new Latch(first).hold()
    using x = first.full("int32", count, 1)
    affine.launch(over(count), count, x, 2, 1)
    const again = openDevice("cuda:1") // Counts a reference; the other reference is released below.
    devices[1].dispose()
    using y = again.full("int32", count, 3)
    affine.launch(over(count), count, y, 2, 1)
    again.dispose()
    assert.ok(isHeld(first.defaultStream))
    latch.open()
    assert.deepEqual(await x.read(), new Int32Array(count).fill(3))
    devices[1] = openDevice("cuda:1")
    using z = devices[1].full("int32", count, 3)
    affine.launch(over(count), count, z, 2, 1)
    assert.deepEqual(await z.read(), new Int32Array(count).fill(7))
    assert.equal(latch.timedOut, false)
  })
})

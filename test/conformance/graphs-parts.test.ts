import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, type Device, type DeviceArray, parallel } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, once, over, prepare } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

const length = 200

const number = (device: Device, value: number) => device.from(Int32Array.of(value))
/** x = x * a + b */
const change = (x: DeviceArray<"int32">, a: number, b: number) => affine.launch(over(x.length), x.length, x, a, b)

forEachOpenDevice("graphs inside graphs", (open) => {
  test("§5 rule 9: a graph launched in a capture is one operation of that graph, in its place", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(1))
    using y = device.from(new Int32Array(length).fill(2))
    using inner = captureGraph(() => {
      parallel([() => change(x, 3, 1), () => change(y, 5, 1)])
      combine.launch(over(length), length, x, y)
    })
    using outer = captureGraph(() => {
      change(x, 2, 0)
      inner.launch()
      change(y, 7, 7)
    })
    assert.equal(outer.nodeCount, 3)
    assert.deepEqual(outer.edges, [
      [0, 1],
      [1, 2],
    ])
    outer.launch()
    const [x1, y1] = [1 * 2 * 3 + 1, 2 * 5 + 1]
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(x1))
    assert.deepEqual(y.readSync(), new Int32Array(length).fill((y1 * 3 + x1) * 7 + 7))
  })

  test("§7: later changes of a graph do not affect graphs that include it", () => {
    using device = open()
    using x = number(device, 1)
    const inner = captureGraph(() => {
      using made = device.full("int32", 1, 5)
      combine.launch(once, 1, made, x)
    })
    using outer = captureGraph(() => {
      inner.launch()
      inner.launch()
    })
    inner.update(() => change(x, 100, 0))
    inner.dispose()
    outer.launch()
    assert.deepEqual([...x.readSync()], [(1 * 3 + 5) * 3 + 5])
  })

  test("§7: a graph keeps the arrays of the graphs inside it", () => {
    using device = open()
    device.synchronize()
    const before = device.memory.used
    const x = number(device, 4)
    using y = number(device, 1)
    const inner = captureGraph(() => combine.launch(once, 1, x, y))
    const outer = captureGraph(() => inner.launch())
    x.dispose()
    inner.dispose()
    using others = device.full("int32", 1, 99)
    outer.launch()
    assert.deepEqual([...y.readSync()], [7])
    outer.dispose()
    device.synchronize()
    y.dispose()
    others.dispose()
    assert.equal(device.memory.used, before)
  })

  test("§7: launches of one graph run one after another, even on two branches of a graph", async () => {
    using device = open()
    await prepare(device)
    using flags = device.pinned("int32", 1)
    using latch = new Latch(device)
    using inner = captureGraph(() => {
      latch.hold()
      affine.launch(once, 1, flags, 1, 1)
    })
    using outer = captureGraph(() => {
      parallel([() => inner.launch(), () => inner.launch()])
    })
    assert.deepEqual(outer.edges, [[0, 1]])
    outer.launch()
    latch.waitUntilEntered()
    assert.equal(flags.array[0], 0)
    latch.open()
    device.synchronize()
    assert.equal(flags.array[0], 2)
  })

  test("§7: launches of a graph and of a graph that includes it are ordered", async () => {
    using device = open()
    await prepare(device)
    using other = device.createStream()
    using x = device.pinned("int32", 1)
    using latch = new Latch(device)
    using inner = captureGraph(() => affine.launch(once, 1, x, 2, 1))
    using outer = captureGraph(() => {
      latch.hold()
      inner.launch()
    })
    outer.launch()
    latch.waitUntilEntered()
    inner.launch(other)
    assert.ok(isHeld(other), "the inner graph did not wait for the outer one")
    latch.open()
    device.synchronize()
    assert.equal(x.array[0], 3)
  })

  test("graph.update takes another inner graph, in place if the shapes are equal", () => {
    using device = open()
    using x = number(device, 1)
    const add = (count: number) => captureGraph(() => change(x, 1, count))
    using one = add(1)
    using ten = add(10)
    using outer = captureGraph(() => one.launch())
    outer.launch()
    outer.update(() => ten.launch())
    outer.launch()
    assert.deepEqual([...x.readSync()], [12])
  })
})

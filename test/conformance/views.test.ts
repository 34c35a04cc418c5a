import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, combine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("views", (open) => {
  test("§4 subarray: is the same memory from begin up to, not including, end; views of views, too", () => {
    using device = open()
    using x = device.from(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7))
    const view = x.subarray(2, 7)
    const inner = view.subarray(1, 3)
    assert.equal(view.length, 5)
    assert.equal(view.byteLength, 20)
    assert.equal(view.address, x.address + 8)
    assert.equal(inner.address, x.address + 12)
    assert.equal(inner.dtype, "int32")
    affine.launch(over(2), 2, inner, 10, 0)
    assert.deepEqual(x.readSync(), Int32Array.of(0, 1, 2, 30, 40, 5, 6, 7))
    x.subarray(6).fill(-1)
    assert.deepEqual(view.readSync(), Int32Array.of(2, 30, 40, 5, -1))
    assert.equal(x.subarray(8).length, 0)
    assert.equal(x.subarray(3, 3).length, 0)
  })

  test("§4 subarray: out of range is refused, never clamped", () => {
    using device = open()
    using x = device.zeros("int32", 8)
    for (const [begin, end, value] of [
      [9, undefined, "9"],
      [-1, undefined, "-1"],
      [0.5, undefined, "0.5"],
      [NaN, undefined, "NaN"],
      [0, 9, "9"],
      [4, 3, "3"],
      [0, Infinity, "Infinity"],
    ] as const) {
      refused(() => x.subarray(begin, end), "AUX_OUT_OF_RANGE", value)
    }
    refused(() => x.subarray(2, 6).subarray(0, 5), "AUX_OUT_OF_RANGE", "5")
  })

  test("§8 views: disposing of a view frees nothing; disposing of the array ends its views", () => {
    using device = open()
    const before = device.memory.used
    const x = device.full("int32", 100, 3)
    const view = x.subarray(10, 20)
    const inner = view.subarray(1)
    view.dispose()
    assert.equal(view.disposed, true)
    assert.equal(inner.disposed, false)
    assert.equal(device.memory.used, before + 400)
    refused(() => view.fill(1), "AUX_DISPOSED", "10 elements")
    assert.deepEqual(inner.readSync(), new Int32Array(9).fill(3))
    x.dispose()
    assert.equal(inner.disposed, true)
    refused(() => inner.readSync(), "AUX_DISPOSED", "9 elements")
    refused(() => x.subarray(0), "AUX_DISPOSED")
    device.synchronize()
    assert.equal(device.memory.used, before)
  })

  test("§6 freeing: a use through a view keeps the whole array's memory", () => {
    using device = open()
    using stream = device.createStream()
    using sum = device.zeros("int32", 50)
    const x = device.full("int32", 1000, 7)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    combine.launch({ ...over(50), stream }, 50, x.subarray(900, 950), sum)
    const { address } = x
    x.dispose()
    using other = device.full("int32", 1000, -1)
    device.defaultStream.synchronize()
    assert.notEqual(other.address, address)
    assert.ok(isHeld(stream))
    latch.open()
    assert.deepEqual(
      stream.run(() => sum.readSync()),
      new Int32Array(50).fill(7),
    )
    assert.equal(latch.timedOut, false)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice, openOther } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

forEachOpenDevice("copies and fills", (open) => {
  test("§4 copyFrom: between arrays, in the order of the current stream", unsanitized, () => {
    using device = open()
    using stream = device.createStream()
    using x = device.from(Int32Array.of(1, 2, 3, 4))
    using y = device.zeros("int32", 4)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    stream.run(() => {
      affine.launch(over(4), 4, x, 2, 0)
      assert.equal(y.copyFrom(x), y)
      affine.launch(over(4), 4, x, 2, 1)
    })
    assert.deepEqual(y.readSync(), Int32Array.of(0, 0, 0, 0))
    latch.open()
    stream.run(() => {
      assert.deepEqual(y.readSync(), Int32Array.of(2, 4, 6, 8))
      assert.deepEqual(x.readSync(), Int32Array.of(5, 9, 13, 17))
    })
    assert.equal(latch.timedOut, false)
  })

  test("§4 copyFrom: a typed array is read at the call, even if it changes before the copy runs", () => {
    using device = open()
    using x = device.zeros("int32", 3)
    using latch = new Latch(device).hold()
    const source = Int32Array.of(1, 2, 3)
    x.copyFrom(source)
    source.fill(0)
    const large = new Int32Array(300_000).fill(5)
    using y = device.from(large)
    large.fill(0)
    latch.open()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 3))
    assert.ok(y.readSync().every((value) => value === 5))
    assert.equal(latch.timedOut, false)
  })

  test("§4 copyFrom: copies between views of one array, and refuses overlapping views", () => {
    using device = open()
    using x = device.from(Int32Array.of(1, 2, 3, 4, 5, 6))
    x.subarray(0, 3).copyFrom(x.subarray(3))
    assert.deepEqual(x.readSync(), Int32Array.of(4, 5, 6, 4, 5, 6))
    x.subarray(1, 4).copyFrom(x.subarray(1, 4))
    refused(() => x.subarray(0, 3).copyFrom(x.subarray(2, 5)), "AUX_INVALID_ARGUMENT", "overlap")
    refused(() => x.subarray(2, 5).copyFrom(x.subarray(0, 3)), "AUX_INVALID_ARGUMENT", "overlap")
    assert.deepEqual(x.readSync(), Int32Array.of(4, 5, 6, 4, 5, 6))
  })

  test("§4 fill: in the order of the current stream", () => {
    using device = open()
    using x = device.zeros("int32", 3)
    using latch = new Latch(device).hold()
    x.fill(3)
    affine.launch(over(3), 3, x, 2, 0)
    x.subarray(1, 2).fill(-1)
    latch.open()
    assert.deepEqual(x.readSync(), Int32Array.of(6, -1, 6))
    assert.equal(latch.timedOut, false)
  })

  test("§4 copyFrom: another dtype, length or device is refused by name, and nothing is queued", () => {
    using device = open()
    using other = openOther()
    using x = device.full("int32", 4, 1)
    using longer = device.zeros("int32", 5)
    using floats = device.zeros("float32", 4)
    using foreign = other.zeros("int32", 4)
    using pinned = device.pinned("int32", 3)
    refused(() => x.copyFrom(longer), "AUX_LENGTH_MISMATCH", "5", "4")
    refused(() => x.copyFrom(pinned), "AUX_LENGTH_MISMATCH", "3", "4")
    refused(() => x.copyFrom(new Int32Array(3)), "AUX_LENGTH_MISMATCH", "3", "4")
    refused(() => pinned.copyFrom(x), "AUX_LENGTH_MISMATCH", "4", "3")
    refused(() => x.copyFrom(foreign), "AUX_DEVICE_MISMATCH", "cuda:99", device.id)
    for (const wrong of [floats, new Float32Array(4), [1, 2, 3, 4], null, "1234"]) {
      // @ts-expect-error refused at run time, too
      assert.throws(() => x.copyFrom(wrong), { name: "AuxstreamError" })
    }
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1, 1))
  })
})

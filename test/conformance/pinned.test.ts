import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, combine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

forEachOpenDevice("pinned arrays", (open) => {
  test("§4 pinned: is zeroed, live in .array, and a kernel's argument wherever an array is one", () => {
    using device = open()
    using pinned = device.pinned("int32", 6)
    assert.equal(pinned.dtype, "int32")
    assert.equal(pinned.length, 6)
    assert.equal(pinned.device, device)
    assert.deepEqual([...pinned.array], [0, 0, 0, 0, 0, 0])
    assert.equal(pinned.array, pinned.array)
    pinned.array.set([1, 2, 3, 4, 5, 6])
    using x = device.full("int32", 6, 10)
    affine.launch(over(6), 6, pinned, 2, 1)
    combine.launch(over(6), 6, pinned, x)
    device.synchronize()
    assert.deepEqual([...pinned.array], [3, 5, 7, 9, 11, 13])
    assert.deepEqual(x.readSync(), Int32Array.of(33, 35, 37, 39, 41, 43))
  })

  test("§8 pinned: the pages stay in place even if code tries to transfer the buffer", () => {
    using device = open()
    using pinned = device.pinned("int32", 4)
    const { buffer } = pinned.array
    for (const method of ["transfer", "transferToFixedLength", "transferToImmutable"].filter(
      (name) => name in buffer,
    )) {
      const transfer: unknown = Reflect.get(buffer, method)
      assert.ok(typeof transfer === "function")
      refused(() => Reflect.apply(transfer, buffer, []), "AUX_INVALID_ARGUMENT", method, "pinned")
    }
    if (buffer instanceof ArrayBuffer) {
      try {
        structuredClone(buffer, { transfer: [buffer] })
      } catch {
        // Node.js 20 makes a copy, later versions refuse.
      }
    }
    using x = device.full("int32", 4, 7)
    pinned.copyFrom(x)
    device.synchronize()
    assert.deepEqual([...pinned.array], [7, 7, 7, 7])
  })

  test("§4 pinned: reused memory is zeroed", async () => {
    using device = open()
    for (let round = 0; round < 20; round++) {
      using pinned = device.pinned("uint8", 5000)
      assert.ok(pinned.array.every((byte) => byte === 0))
      pinned.array.fill(0xff)
      await new Promise(setImmediate)
    }
  })

  test("§4 copyFrom: a pinned array is read when the stream gets there", () => {
    using device = open()
    using pinned = device.pinned("int32", 3)
    pinned.array.set([1, 2, 3])
    using x = device.zeros("int32", 3)
    using latch = new Latch(device).hold()
    x.copyFrom(pinned)
    pinned.array.set([7, 8, 9])
    latch.open()
    assert.deepEqual(x.readSync(), Int32Array.of(7, 8, 9))
    assert.equal(latch.timedOut, false)
  })

  test("§4 pinned.copyFrom: in the order of the current stream", () => {
    using device = open()
    using stream = device.createStream()
    using x = stream.run(() => device.from(Int32Array.of(4, 5, 6)))
    using pinned = device.pinned("int32", 3)
    stream.synchronize()
    using latch = new Latch(device).hold(stream)
    assert.equal(
      stream.run(() => pinned.copyFrom(x)),
      pinned,
    )
    assert.deepEqual([...pinned.array], [0, 0, 0])
    latch.open()
    stream.synchronize()
    assert.deepEqual([...pinned.array], [4, 5, 6])
    assert.equal(latch.timedOut, false)
  })

  test("§8 pinned.dispose: queued work still uses the memory, and typed arrays over it stay valid", () => {
    using device = open()
    using stream = device.createStream()
    using x = device.from(Int32Array.of(1, 2, 3))
    stream.wait(device.defaultStream)
    const pinned = device.pinned("int32", 3)
    const { array } = pinned
    using latch = new Latch(device).hold(stream)
    stream.run(() => pinned.copyFrom(x))
    pinned.dispose()
    pinned.dispose()
    assert.equal(pinned.disposed, true)
    refused(() => pinned.array, "AUX_DISPOSED", "pinned int32 array of 3")
    refused(() => x.copyFrom(pinned), "AUX_DISPOSED", "pinned int32 array of 3")
    refused(() => pinned.copyFrom(x), "AUX_DISPOSED", "pinned int32 array of 3")
    refused(() => affine.launch(over(3), 3, pinned, 1, 1), "AUX_DISPOSED", "pinned int32 array of 3")
    for (let count = 0; count < 100; count++) {
      using other = device.pinned("int32", 3)
      other.array.fill(-1)
    }
    latch.open()
    stream.synchronize()
    assert.deepEqual([...array], [1, 2, 3])
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: an array copied to and from pinned memory may be disposed of at once", () => {
    using device = open()
    using stream = device.createStream()
    using result = device.pinned("int32", 1000)
    using latch = new Latch(device).hold(stream)
    stream.run(() => {
      const x = device.full("int32", 1000, 5)
      result.copyFrom(x)
      x.dispose()
    })
    using others = device.full("int32", 1000, -1)
    device.defaultStream.synchronize()
    latch.open()
    stream.synchronize()
    assert.ok(result.array.every((value) => value === 5))
    assert.ok(others.readSync().every((value) => value === -1))
    assert.equal(latch.timedOut, false)
  })
})

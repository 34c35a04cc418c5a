import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("memory of other libraries", (open) => {
  test("§4 wrap: gives an array over that memory, which the library never frees", () => {
    using device = open()
    using owner = device.from(Int32Array.of(1, 2, 3, 4))
    const { used } = device.memory
    const wrapped = device.wrap(owner.address + 4, "int32", 2)
    assert.equal(wrapped.address, owner.address + 4)
    assert.equal(wrapped.device, device)
    assert.equal(device.memory.used, used)
    affine.launch(over(2), 2, wrapped, 10, 1)
    assert.deepEqual(wrapped.subarray(1).readSync(), Int32Array.of(31))
    wrapped.dispose()
    wrapped.dispose()
    refused(() => wrapped.readSync(), "AUX_DISPOSED", "2 elements")
    device.synchronize()
    assert.equal(device.memory.used, used)
    assert.deepEqual(owner.readSync(), Int32Array.of(1, 21, 31, 4))
  })

  test("§4 wrap: address, dtype and length are checked", () => {
    using device = open()
    refused(() => device.wrap(0, "int32", 1), "AUX_OUT_OF_RANGE", "address", "0")
    refused(() => device.wrap(-256, "int32", 1), "AUX_OUT_OF_RANGE", "-256")
    refused(() => device.wrap(NaN, "int32", 1), "AUX_OUT_OF_RANGE", "NaN")
    refused(() => device.wrap(2 ** 53, "int32", 1), "AUX_OUT_OF_RANGE")
    refused(() => device.wrap(258, "int32", 1), "AUX_INVALID_ARGUMENT", "258", "4")
    refused(() => device.wrap(256, "int32", -1), "AUX_OUT_OF_RANGE", "-1")
    assert.equal(device.wrap(0, "int32", 0).length, 0)
  })
})

onHost("memory of other libraries", (open) => {
  test("§4 wrap: refuses an address outside the host device's memory, and does not cut it to 32 bits", async () => {
    using device = open()
    using x = device.full("int32", 4, 1)
    await device.completed()
    const { reserved } = device.memory
    for (const address of [2 ** 32 + x.address, 2 ** 31, 2 ** 52, reserved, reserved - 8, 4, 252]) {
      refused(() => device.wrap(address, "int32", 4), "AUX_OUT_OF_RANGE", "address", String(address))
    }
    refused(() => device.wrap(2 ** 32, "int32", 0), "AUX_OUT_OF_RANGE", String(2 ** 32))
    device.wrap(reserved - 16, "int32", 4).fill(5)
    assert.deepEqual(await x.read(), new Int32Array(4).fill(1))
  })
})

forEachOpenDevice("work of other libraries", (open) => {
  test("§4 external: passes the stream's handle, and returns or throws what the function does", () => {
    using device = open()
    using stream = device.createStream()
    const result = stream.external({}, (handle) => {
      assert.equal(typeof handle, "bigint")
      return [handle]
    })
    assert.deepEqual(result, [stream.handle])
    const error = new Error("of the other library")
    assert.throws(
      () =>
        stream.external({ reads: [] }, () => {
          throw error
        }),
      (thrown) => thrown === error,
    )
    stream.synchronize()
  })

  test("§6 external: arrays that it names may be disposed of at once, even after a throw", () => {
    using device = open()
    using stream = device.createStream()
    using seen = device.zeros("int32", 2000)
    const x = device.full("int32", 2000, 7)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    const { address, byteLength } = x
    assert.throws(() =>
      stream.external({ reads: [x.subarray(1, 2)], writes: [seen] }, () => {
        // As another library does: it queues through the driver, without our knowledge.
        device.driver.memory.copy(seen.address, address, byteLength, stream.state.handle)
        throw new Error("after something was queued")
      }),
    )
    x.dispose()
    const others = Array.from({ length: 10 }, () => device.full("int32", 2000, -1))
    device.defaultStream.synchronize()
    assert.ok(others.every((other) => other.address !== address))
    latch.open()
    assert.deepEqual(
      stream.run(() => seen.readSync()),
      new Int32Array(2000).fill(7),
    )
    for (const other of others) other.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§4 whose order: external work on another stream waits for an array's birth", () => {
    using device = open()
    using producer = device.createStream()
    using user = device.createStream()
    using latch = new Latch(device).hold(producer)
    using x = producer.run(() => device.zeros("int32", 4))
    user.external({ writes: [x] }, () => {})
    assert.ok(isHeld(user))
    latch.open()
    user.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§6 handle: once a stream's handle has been read, no wait on it is skipped", () => {
    using device = open()
    const { driver } = device
    using held = device.createStream()
    using shared = device.createStream()
    using user = device.createStream()
    assert.equal(shared.handle, shared.handle)
    user.wait(shared)
    using latch = new Latch(device).hold(held)
    // Another library queues a wait for the held stream on the shared stream, without our knowledge.
    const event = driver.events.create(false)
    driver.events.record(event, held.state.handle)
    driver.streams.wait(shared.state.handle, event)
    user.wait(shared)
    assert.ok(isHeld(user))
    using own = device.createEvent().record(shared)
    using other = device.createStream()
    own.wait(other)
    assert.ok(isHeld(other))
    latch.open()
    user.synchronize()
    other.synchronize()
    driver.events.destroy(event)
    assert.equal(latch.timedOut, false)
  })

  test("§6 handle: an event whose handle has been read may be recorded by others, so no wait for it is skipped", () => {
    using device = open()
    const { driver } = device
    using held = device.createStream()
    using user = device.createStream()
    using event = device.createEvent().record(user)
    assert.equal(typeof event.handle, "bigint")
    using latch = new Latch(device).hold(held)
    driver.events.record(event.state.handle, held.state.handle)
    event.wait(user)
    assert.ok(isHeld(event))
    assert.ok(isHeld(user))
    latch.open()
    user.synchronize()
    assert.equal(event.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§6 handle: another library's record of an event does not stand for the end of our record", () => {
    using device = open()
    const { driver } = device
    using held = device.createStream()
    using reader = device.createStream()
    using other = device.createStream()
    using event = device.createEvent()
    assert.equal(typeof event.handle, "bigint")
    using sum = device.zeros("int32", 1000)
    const x = device.full("int32", 1000, 3)
    device.synchronize()
    using latch = new Latch(device).hold(reader)
    reader.run(() => sum.copyFrom(x))
    event.record(reader)
    driver.events.record(event.state.handle, other.state.handle)
    event.synchronize()
    assert.equal(event.query(), true)
    held.wait(device.defaultStream)
    const { address } = x
    x.dispose()
    const others = [held, device.defaultStream, other].map((stream) => stream.run(() => device.full("int32", 1000, -1)))
    assert.ok(others.every((array) => array.address !== address))
    latch.open()
    reader.synchronize()
    assert.deepEqual(
      reader.run(() => sum.readSync()),
      new Int32Array(1000).fill(3),
    )
    for (const array of others) array.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§4 streamFromHandle: gives one Stream for each handle, even for the handle of one of our own streams", () => {
    using device = open()
    const stream = device.createStream()
    const { handle } = stream
    assert.equal(device.streamFromHandle(handle), stream)
    assert.equal(device.streamFromHandle(handle), stream)
    stream.dispose()
    // @ts-expect-error a number instead of a bigint
    refused(() => device.streamFromHandle(5), "AUX_INVALID_ARGUMENT", "handle", "5")
    refused(() => device.streamFromHandle(-1n), "AUX_INVALID_ARGUMENT", "-1n")
  })
})

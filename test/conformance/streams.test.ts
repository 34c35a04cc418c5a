import assert from "node:assert/strict"
import { test } from "node:test"
import { currentStream, type Stream } from "../../src/index.js"
import { forEachOpenDevice, openOther } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, over, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("streams", (open) => {
  test("§3 stream: operations of one stream run in the order of the calls", () => {
    using device = open()
    using stream = device.createStream()
    using x = stream.run(() => device.zeros("int32", 1000))
    let expected = 0
    for (let step = 1; step <= 500; step++) {
      affine.launch({ ...over(1000), stream }, 1000, x, 3, step)
      expected = (Math.imul(expected, 3) + step) | 0
    }
    assert.deepEqual(
      stream.run(() => x.readSync()),
      new Int32Array(1000).fill(expected),
    )
  })

  test("§3 stream: two streams are unordered, so one ends while the other is held", () => {
    using device = open()
    using held = device.createStream()
    using free = device.createStream()
    using latch = new Latch(device).hold(held)
    using x = free.run(() => device.full("int32", 4, 7))
    affine.launch({ ...over(4), stream: free }, 4, x, 2, 1)
    free.synchronize()
    assert.equal(free.query(), true)
    assert.ok(isHeld(held))
    assert.deepEqual(
      free.run(() => x.readSync()),
      Int32Array.of(15, 15, 15, 15),
    )
    latch.open()
    held.synchronize()
    assert.equal(held.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§7 queueing never blocks: thousands of operations behind a latch", () => {
    using device = open()
    using stream = device.createStream()
    using x = stream.run(() => device.zeros("int32", 1))
    using latch = new Latch(device).hold(stream)
    // CUDA's queues hold about a thousand operations (measured: 1021); beyond that its own calls wait.
    const steps = device.kind === "host" ? 20_000 : 500
    for (let step = 0; step < steps; step++) affine.launch({ ...over(1), stream }, 1, x, 1, 1)
    assert.ok(isHeld(stream))
    latch.open()
    assert.deepEqual(
      stream.run(() => x.readSync()),
      Int32Array.of(steps),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§4 wait(stream): later work runs after the work queued there so far, and not after work queued later", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using x = device.full("int32", 8, 1)
    using before = new Latch(device).hold(first)
    affine.launch({ ...over(8), stream: first }, 8, x, 5, 1)
    second.wait(first)
    using later = new Latch(device).hold(first)
    affine.launch({ ...over(8), stream: second }, 8, x, 3, 2)
    assert.ok(isHeld(second))
    before.open()
    second.synchronize()
    assert.ok(isHeld(first))
    assert.deepEqual(
      second.run(() => x.readSync()),
      new Int32Array(8).fill(20),
    )
    later.open()
    first.synchronize()
    assert.equal(before.timedOut || later.timedOut, false)
  })

  test("§4 wait(stream): a stream that waits for itself continues", () => {
    using device = open()
    using stream = device.createStream()
    stream.wait(stream)
    spin.launch({ grid: 1, block: 1, stream }, 1)
    stream.synchronize()
  })

  test("§7 a waiting stream holds no thread: 200 streams in a chain behind one latch", () => {
    using device = open()
    // CUDA maps streams onto few hardware queues, where a free stream may be stuck behind a waiting one.
    const streams = Array.from({ length: device.kind === "host" ? 200 : 4 }, () => device.createStream())
    using free = device.createStream()
    using x = device.zeros("int32", 3)
    device.synchronize()
    using latch = new Latch(device).hold(streams[0])
    let before: Stream | undefined
    let expected = 0
    streams.forEach((stream, index) => {
      if (before !== undefined) stream.wait(before)
      affine.launch({ ...over(3), stream }, 3, x, 3, index)
      expected = (Math.imul(expected, 3) + index) | 0
      before = stream
    })
    spin.launch({ grid: 1, block: 1, stream: free }, 1)
    free.synchronize()
    const last = streams.at(-1)
    assert.ok(last && isHeld(last))
    latch.open()
    assert.deepEqual(
      streams.at(-1)?.run(() => x.readSync()),
      new Int32Array(3).fill(expected),
    )
    assert.equal(latch.timedOut, false)
    for (const stream of streams) stream.dispose()
  })

  test("§4 defaultStream is a stream like any other, and is replaced once it is disposed of", () => {
    using device = open()
    const first = device.defaultStream
    assert.equal(device.defaultStream, first)
    assert.equal(first.priority, 0)
    assert.equal(first.device, device)
    using other = device.createStream()
    using latch = new Latch(device).hold(other)
    spin.launch({ grid: 1, block: 1, stream: first }, 1)
    first.synchronize() // CUDA's legacy stream would wait for the other one.
    latch.open()
    first.dispose()
    assert.notEqual(device.defaultStream, first)
    assert.equal(device.defaultStream.disposed, false)
    refused(() => first.run(() => 1), "AUX_DISPOSED", "default stream")
    other.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§4 createStream: takes a name and a priority, and gives an id that is never reused", () => {
    using device = open()
    using urgent = device.createStream({ name: "urgent", priority: device.driver.priorities.greatest })
    assert.equal(urgent.name, "urgent")
    assert.equal(urgent.priority, device.driver.priorities.greatest)
    const ids = new Set<number>()
    for (let count = 0; count < 100; count++) {
      using stream = device.createStream()
      assert.match(stream.name, /stream \d+/)
      assert.equal(stream.priority, 0)
      ids.add(stream.id)
    }
    assert.equal(ids.size, 100)
    assert.equal(ids.has(urgent.id), false)
    urgent.run(() => device.zeros("int32", 1).dispose())
    urgent.synchronize()
  })

  test("§4 device.synchronize: waits for every stream, disposed ones included", () => {
    using device = open()
    const streams = Array.from({ length: 6 }, () => device.createStream())
    using x = device.zeros("int32", streams.length)
    device.synchronize()
    streams.forEach((stream, index) => {
      spin.launch({ grid: 1, block: 1, stream }, 200_000)
      affine.launch({ ...over(1), stream }, 1, x.subarray(index, index + 1), 1, index + 1)
      stream.dispose()
    })
    device.synchronize()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 3, 4, 5, 6))
  })

  test("§8 stream.dispose: does not block, lets queued work finish, and later use is refused", () => {
    using device = open()
    const stream = device.createStream({ name: "short-lived" })
    using x = device.full("int32", 2, 1)
    using latch = new Latch(device).hold(stream)
    stream.wait(device.defaultStream)
    affine.launch({ ...over(2), stream }, 2, x, 4, 1)
    const event = stream.record()
    stream.dispose()
    stream.dispose()
    assert.equal(stream.disposed, true)
    assert.ok(isHeld(event))
    for (const use of [
      () => stream.record(event),
      () => stream.wait(device.defaultStream),
      () => device.defaultStream.wait(stream),
      () => stream.run(() => 1),
      () => stream.query(),
      () => stream.synchronize(),
      () => stream.external({}, () => 1),
      () => stream.handle,
      () => affine.launch({ ...over(2), stream }, 2, x, 1, 1),
      () => event.record(stream),
      () => event.wait(stream),
    ]) {
      refused(use, "AUX_DISPOSED", "short-lived")
    }
    latch.open()
    event.wait()
    assert.deepEqual(x.readSync(), Int32Array.of(5, 5))
    assert.equal(latch.timedOut, false)
    event.dispose()
  })

  test("§8 disposing of streams frees what they held: 600 of them, one after another", () => {
    using device = open()
    using x = device.zeros("int32", 1)
    for (let count = 0; count < 600; count++) {
      using stream = device.createStream()
      stream.wait(device.defaultStream)
      affine.launch({ ...over(1), stream }, 1, x, 1, 1)
      device.defaultStream.wait(stream)
    }
    assert.deepEqual(x.readSync(), Int32Array.of(600))
  })
})

forEachOpenDevice("current stream", (open) => {
  test("§4 run: makes the stream current inside and restores the former one, even after a throw", () => {
    using device = open()
    using outer = device.createStream()
    using inner = device.createStream()
    assert.equal(currentStream(device), device.defaultStream)
    const result = outer.run(() => {
      assert.equal(currentStream(device), outer)
      assert.throws(
        () =>
          inner.run(() => {
            assert.equal(currentStream(device), inner)
            throw new RangeError("on purpose")
          }),
        RangeError,
      )
      assert.equal(currentStream(device), outer)
      return 42
    })
    assert.equal(result, 42)
    assert.equal(currentStream(device), device.defaultStream)
  })

  test("§4 run: the current stream follows await, separately in each flow of calls", async () => {
    using device = open()
    const streams = Array.from({ length: 8 }, () => device.createStream())
    using x = device.zeros("int32", 8)
    device.synchronize()
    await Promise.all(
      streams.map((stream, index) =>
        stream.run(async () => {
          const own = x.subarray(index, index + 1)
          for (let step = 0; step < 20; step++) {
            affine.launch(over(1), 1, own, 3, index)
            await (step % 2 === 0 ? Promise.resolve() : new Promise(setImmediate))
            assert.equal(currentStream(device), stream)
          }
          await stream.completed()
          assert.equal(currentStream(), stream)
        }),
      ),
    )
    assert.equal(currentStream(device), device.defaultStream)
    const expected = streams.map((_, index) => {
      let value = 0
      for (let step = 0; step < 20; step++) value = (Math.imul(value, 3) + index) | 0
      return value
    })
    assert.deepEqual([...x.readSync()], expected)
    for (const stream of streams) stream.dispose()
  })

  test("§4 run: sets the current stream of its own device only", () => {
    using device = open()
    using other = openOther()
    using here = device.createStream()
    using there = other.createStream()
    here.run(() => {
      assert.equal(currentStream(other), other.defaultStream)
      there.run(() => {
        assert.equal(currentStream(device), here)
        assert.equal(currentStream(other), there)
        assert.equal(currentStream(), there)
      })
      assert.equal(currentStream(), here)
    })
  })

  test("§4 which device: a launch uses its arrays' device, else the innermost run's, else the only open one", () => {
    using device = open()
    using other = openOther()
    using x = device.zeros("int32", 1)
    using stream = other.createStream()
    stream.run(() => affine.launch(over(1), 1, x, 1, 5))
    assert.deepEqual(x.readSync(), Int32Array.of(5))
    spin.launch({ grid: 1, block: 1 }, 1)
    assert.equal(currentStream(), device.defaultStream)
  })

  test("§4 run: a current stream that is disposed of inside is refused from then on", () => {
    using device = open()
    const stream = device.createStream({ name: "gone" })
    using x = device.zeros("int32", 1)
    stream.run(() => {
      stream.dispose()
      refused(() => affine.launch(over(1), 1, x, 1, 5), "AUX_DISPOSED", "gone")
      refused(() => x.fill(1), "AUX_DISPOSED", "gone")
      refused(() => device.empty("int32", 1), "AUX_DISPOSED", "gone")
      refused(() => x.readSync(), "AUX_DISPOSED", "gone")
    })
    assert.deepEqual(x.readSync(), Int32Array.of(0))
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("reads", (open) => {
  test("§4 read: sees what the current stream had queued at the call, and nothing queued later", async () => {
    using device = open()
    using x = device.full("int32", 1000, 1)
    using latch = new Latch(device).hold()
    affine.launch(over(1000), 1000, x, 3, 1)
    const first = x.read()
    affine.launch(over(1000), 1000, x, 5, 2)
    const second = x.subarray(0, 500).read()
    x.fill(0)
    latch.open()
    assert.deepEqual(await second, new Int32Array(500).fill(22))
    assert.deepEqual(await first, new Int32Array(1000).fill(4))
    assert.deepEqual(await x.read(), new Int32Array(1000))
    assert.equal(latch.timedOut, false)
  })

  test("§8 abort: an aborted read rejects with the signal's reason, and its memory is freed after the work", async () => {
    using device = open()
    using x = device.full("int32", 1 << 20, 1)
    const controller = new AbortController()
    const { signal } = controller
    using latch = new Latch(device).hold()
    const reads = Array.from({ length: 12 }, () => x.read({ signal }))
    const last = x.read({ signal: undefined })
    controller.abort("enough")
    for (const outcome of await Promise.allSettled(reads)) {
      assert.deepEqual(outcome, { status: "rejected", reason: "enough" })
    }
    await assert.rejects(x.read({ signal }), (reason) => reason === "enough")
    assert.ok(isHeld(device.defaultStream))
    latch.open()
    assert.deepEqual((await last).subarray(0, 2), Int32Array.of(1, 1))
    assert.equal(latch.timedOut, false)
  })

  test("§4 read: uses the stream that is current at the call, and waits for no other", async () => {
    using device = open()
    using stream = device.createStream()
    using x = stream.run(() => device.full("int32", 4, 2))
    using latch = new Latch(device).hold()
    const read = stream.run(() => x.read())
    assert.deepEqual(await read, Int32Array.of(2, 2, 2, 2))
    assert.deepEqual(
      stream.run(() => x.readSync()),
      Int32Array.of(2, 2, 2, 2),
    )
    assert.ok(isHeld(device.defaultStream))
    latch.open()
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§4 read: each call returns a typed array of its own", async () => {
    using device = open()
    using x = device.full("int32", 3, 1)
    const [first, second] = await Promise.all([x.read(), x.read()])
    first.fill(9)
    assert.deepEqual(second, Int32Array.of(1, 1, 1))
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1))
    assert.ok(first.buffer instanceof ArrayBuffer)
    assert.equal(first.byteOffset, 0)
    assert.equal(first.buffer.byteLength, 12)
  })

  test("§6 freeing: an array may be disposed of while its read is pending", async () => {
    using device = open()
    using latch = new Latch(device).hold()
    const x = device.full("int32", 5000, 3)
    const promise = x.read()
    x.dispose()
    const others = Array.from({ length: 20 }, () => device.full("int32", 5000, -1))
    latch.open()
    assert.deepEqual(await promise, new Int32Array(5000).fill(3))
    for (const other of others) other.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§4 read: thousands of reads may be pending at a time", async () => {
    using device = open()
    using x = device.zeros("int32", 16)
    const reads: Promise<Int32Array>[] = []
    for (let step = 0; step < 2000; step++) {
      affine.launch(over(16), 16, x, 1, 1)
      reads.push(x.read())
    }
    const results = await Promise.all(reads)
    results.forEach((result, step) => assert.equal(result[step % 16], step + 1))
  })

  test("§6 host: a settled read orders other streams after the work that it waited for", async () => {
    using device = open()
    using producer = device.createStream()
    using consumer = device.createStream()
    using x = producer.run(() => device.full("int32", 100, 1))
    for (let round = 0; round < 200; round++) {
      affine.launch({ ...over(100), stream: producer }, 100, x, 3, round)
      const seen = await producer.run(() => x.read())
      affine.launch({ ...over(100), stream: consumer }, 100, x, 1, 1)
      const [value] = await consumer.run(() => x.read())
      assert.equal(value, ((seen[0] ?? 0) + 1) | 0)
    }
  })
})

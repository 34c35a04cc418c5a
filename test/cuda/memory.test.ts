import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"
import { OutOfMemoryError } from "../../src/common/errors.js"
import {
  bytesOf,
  completed,
  Latch,
  launch,
  mark,
  never,
  noop,
  onDouble,
  open,
  open as openDriver,
  read,
  thrownBy,
  until,
  untilGone,
  unknown,
} from "./device.js"
import { withEnvironment } from "../support/environment.js"
import { double } from "./double.js"

/** The double's default size. */
const unlimited = 2 ** 34

/** Whether we or the driver hand out memory; compute-sanitizer needs to see the driver's allocations. */
for (const by of ["", "driver"]) {
  onDouble(`device memory${by && ", each array the driver's own"}`, () => {
    const open = () => withEnvironment({ AUXSTREAM_CUDA_MEMORY: by }, () => openDriver())

    test("memory freed on a stream is reused by the next allocation there", () => {
      using driver = open()
      const stream = driver.streams.create(0)
      using latch = new Latch(driver).hold(stream)
      const addresses = new Set<number>()
      for (let i = 0; i < 1000; i++) {
        const address = driver.memory.allocate(4096, stream, never)
        assert.equal(address % 256, 0)
        addresses.add(address)
        driver.memory.free(address, stream, mark)
      }
      assert.equal(addresses.size, 1)
      latch.open()
    })

    test("usage counts live, reserved and peak bytes", () => {
      using driver = open()
      const stream = driver.streams.create(0)
      const none = { used: 0, reserved: 0, peak: 0, free: unlimited, total: unlimited }
      assert.deepEqual(driver.memory.usage(), none)
      const addresses = [1000, 2000, 3000].map((bytes) => driver.memory.allocate(bytes, stream, never))
      assert.equal(driver.memory.usage().used, 6000)
      for (const address of addresses) driver.memory.free(address, stream, mark)
      const { used, reserved, peak } = driver.memory.usage()
      assert.equal(used, 0)
      assert.ok(reserved >= 6000)
      assert.equal(peak, 6000)
    })

    test("an out-of-memory error says how much was requested, how much is used and how much there is", () => {
      using driver = open()
      const stream = driver.streams.create(0)
      double.setMemory(8192)
      try {
        const address = driver.memory.allocate(4096, stream, never)
        const error = thrownBy(() => driver.memory.allocate(8000, stream, never))
        assert.ok(error instanceof OutOfMemoryError)
        assert.match(error.message, /8000 bytes: 4096 bytes are in arrays.+4096 of its 8192 are free/)
        driver.memory.free(address, stream, mark)
      } finally {
        double.setMemory(unlimited)
      }
    })

    test("memory pending to be freed on any stream, destroyed ones included, is available after draining", () => {
      using driver = open()
      const [kept, destroyed, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
      double.setMemory(8192)
      try {
        using latch = new Latch(driver).hold(kept).hold(destroyed)
        for (const stream of [kept, destroyed])
          driver.memory.free(driver.memory.allocate(4096, stream, never), stream, mark)
        driver.streams.destroy(destroyed)
        // Another size, so that no block can be reused unchanged.
        const error = thrownBy(() => driver.memory.allocate(8192, other, never))
        assert.ok(error instanceof OutOfMemoryError)
        latch.open()
        driver.memory.drainFrees()
        const address = driver.memory.allocate(8192, other, never)
        driver.memory.free(address, other, mark)
      } finally {
        double.setMemory(unlimited)
      }
    })

    test("memory of a closing device is available after draining", () => {
      using closing = open()
      using driver = open()
      const [old, stream] = [closing.streams.create(0), driver.streams.create(0)]
      double.setMemory(8192)
      try {
        using latch = new Latch(closing).hold(old)
        closing.memory.allocate(4096, old, never)
        closing.memory.free(closing.memory.allocate(4096, old, never), old, mark)
        closing.close()
        assert.ok(thrownBy(() => driver.memory.allocate(8192, stream, never)) instanceof OutOfMemoryError)
        latch.open()
        driver.memory.drainFrees()
        const address = driver.memory.allocate(8192, stream, never)
        driver.memory.free(address, stream, mark)
        driver.streams.synchronize(stream)
      } finally {
        double.setMemory(unlimited)
      }
    })

    test("draining does not wait for streams that have freed nothing", () => {
      using driver = open()
      const [held, other] = [driver.streams.create(0), driver.streams.create(0)]
      using latch = new Latch(driver).hold(held)
      driver.memory.free(driver.memory.allocate(4096, other, never), other, mark)
      driver.memory.drainFrees()
      assert.equal(driver.streams.query(held), false)
      latch.open()
    })
  })
}

onDouble("device memory in use", () => {
  test("fills with elements of every size, in their order of bytes", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(1024, stream, never)
    for (const element of [
      [0xab],
      [0x12, 0x34],
      [1, 2, 3, 4],
      [1, 2, 3, 4, 1, 2, 3, 4],
      [1, 2, 3, 4, 5, 6, 7, 8],
      [255, 255, 255, 255, 0, 0, 0, 128],
    ]) {
      const count = 37
      const byteLength = count * element.length
      driver.memory.fill(address, new Uint8Array(1).fill(0xee), 1024, stream)
      driver.memory.fill(address, Uint8Array.from(element), count, stream)
      const expected = Array.from({ length: byteLength }, (_, index) => element[index % element.length])
      assert.deepEqual([...read(driver, address, byteLength + 1, stream)], [...expected, 0xee])
    }
    driver.memory.free(address, stream, mark)
  })

  test("copies go between device and pinned memory in any direction", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const [from, to] = [driver.memory.allocatePinned(64), driver.memory.allocatePinned(64)]
    const [first, second] = [driver.memory.allocate(64, stream, never), driver.memory.allocate(64, stream, never)]
    const bytes = Uint8Array.from({ length: 64 }, (_, index) => index * 3)
    new Uint8Array(from.buffer, from.byteOffset, 64).set(bytes)
    driver.memory.copy(first, from.address, 64, stream)
    driver.memory.copy(second, first, 64, stream)
    driver.memory.copy(to.address, second, 64, stream)
    driver.streams.synchronize(stream)
    assert.deepEqual(new Uint8Array(to.buffer, to.byteOffset, 64), bytes)
    for (const address of [first, second]) driver.memory.free(address, stream, mark)
    for (const { address } of [from, to]) driver.memory.freePinned(address)
  })
})

onDouble("uploads", () => {
  test("the source has been read when the call returns, even if the stream is held", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(1024, stream, never)
    using latch = new Latch(driver).hold(stream)
    const source = new Uint8Array(1024).fill(7)
    driver.memory.upload(address, source, stream)
    source.fill(9)
    latch.open()
    assert.deepEqual(read(driver, address, 1024, stream), new Uint8Array(1024).fill(7))
    driver.memory.free(address, stream, mark)
  })

  test("consecutive uploads keep their own bytes, even if the stream is held", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(1024, stream, never)
    using latch = new Latch(driver).hold(stream)
    for (let i = 0; i < 8; i++) driver.memory.upload(address + 128 * i, new Uint8Array(128).fill(i), stream)
    latch.open()
    const expected = Uint8Array.from({ length: 1024 }, (_, index) => index >> 7)
    assert.deepEqual(read(driver, address, 1024, stream), expected)
    driver.memory.free(address, stream, mark)
  })

  test("sources of every size arrive completely: views, small ones, and those of many blocks", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const block = 16 * 1024 * 1024
    const address = driver.memory.allocate(3 * block, stream, never)
    for (const byteLength of [1, 7, 4096, 4097, block, block + 1, 2 * block + 12345]) {
      const whole = new Uint8Array(byteLength + 8)
      for (let i = 0; i < whole.length; i += 997) whole[i] = i
      const source = whole.subarray(8)
      driver.memory.upload(address, source, stream)
      assert.equal(Buffer.compare(read(driver, address, byteLength, stream), source), 0)
    }
    driver.memory.free(address, stream, mark)
  })

  test("staging memory is reused once its copy is done, even if another stream is held", () => {
    using driver = open()
    const [held, busy] = [driver.streams.create(0), driver.streams.create(0)]
    const address = driver.memory.allocate(4096, busy, never)
    driver.streams.synchronize(busy)
    using latch = new Latch(driver).hold(held)
    const source = new Uint8Array(4096)
    driver.memory.upload(address, source, held)
    const before = double.alive().pinned
    for (let i = 0; i < 200; i++) {
      driver.memory.upload(address, source, busy)
      driver.streams.synchronize(busy)
    }
    assert.ok(double.alive().pinned - before <= 1)
    latch.open()
    driver.streams.synchronize(held)
    driver.memory.free(address, busy, mark)
  })

  test("§8 a failed query of earlier uploads does not fail the next one, and releases nothing twice", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const bytes = 8192
    const address = driver.memory.allocate(5 * bytes, stream, never)
    const upload = (place: number, value: number) =>
      driver.memory.upload(address + place * bytes, new Uint8Array(bytes).fill(value), stream)
    using first = new Latch(driver).hold(stream)
    for (const place of [0, 1]) upload(place, 1)
    first.open()
    driver.streams.synchronize(stream)
    double.fail("cuEventQuery", 2, unknown)
    upload(2, 3)
    assert.equal(double.failuresLeft(), 0)
    using second = new Latch(driver).hold(stream)
    for (const place of [0, 1, 2, 3, 4]) upload(place, 11 + place)
    second.open()
    const found = read(driver, address, 5 * bytes, stream)
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((place) => found[place * bytes]),
      [11, 12, 13, 14, 15],
    )
    driver.memory.free(address, stream, mark)
  })

  test("without pinned memory nothing is queued, and none is lost", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(64 * 1024 * 1024, stream, never)
    for (const nth of [2, 3]) double.fail("cuMemHostAlloc", nth, 2)
    const calls = double.log(() => {
      const error = thrownBy(() => driver.memory.upload(address, new Uint8Array(40 * 1024 * 1024), stream))
      assert.ok(error instanceof OutOfMemoryError)
      assert.match(error.message, /ulimit -l/)
    })
    assert.ok(!calls.some(([name]) => name === "cuMemcpyAsync"))
    driver.memory.upload(address, new Uint8Array(40 * 1024 * 1024), stream)
    driver.memory.free(address, stream, mark)
  })
})

onDouble("pinned memory", () => {
  test("is zeroed, aligned and live: JavaScript sees what kernels write, and kernels what JavaScript writes", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const pinned = driver.memory.allocatePinned(1000)
    assert.equal(pinned.byteLength, 1000)
    assert.equal((pinned.address + pinned.byteOffset) % 256, 0)
    const values = new Uint8Array(pinned.buffer, pinned.byteOffset, pinned.byteLength)
    assert.ok(values.every((value) => value === 0))
    driver.memory.fill(pinned.address, new Uint8Array([5]), 1000, stream)
    driver.streams.synchronize(stream)
    assert.ok(values.every((value) => value === 5))
    driver.memory.freePinned(pinned.address)
  })

  test("is reused after it was freed, in a new buffer", () => {
    using driver = open()
    const first = driver.memory.allocatePinned(5000)
    driver.memory.freePinned(first.address)
    driver.memory.freePinned(first.address)
    const second = driver.memory.allocatePinned(8000)
    assert.equal(second.address, first.address)
    assert.notEqual(second.buffer, first.buffer)
    const third = driver.memory.allocatePinned(8000)
    assert.notEqual(third.address, second.address)
    for (const { address } of [second, third]) driver.memory.freePinned(address)
    assert.equal(double.alive().pinned, 2)
  })

  test("outlives the device until it is freed", async () => {
    const driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, noop)
    const pinned = driver.memory.allocatePinned(64)
    const values = new Uint8Array(pinned.buffer, pinned.byteOffset, pinned.byteLength)
    driver.close()
    await until(() => double.alive().pools === 0)
    assert.deepEqual([double.alive().contexts, double.alive().pinned], [1, 1])
    values.fill(1)
    driver.memory.freePinned(pinned.address)
    assert.deepEqual([double.alive().contexts, double.alive().pinned], [0, 0])
  })

  test("throws an out-of-memory error when no pages can be locked", () => {
    using driver = open()
    for (const nth of [1, 2]) double.fail("cuMemHostAlloc", nth, 2)
    assert.ok(thrownBy(() => driver.memory.allocatePinned(64)) instanceof OutOfMemoryError)
  })
})

onDouble("closing", () => {
  let before = 0
  beforeEach(() => {
    before = double.hostFreesWhileBusy()
  })
  afterEach(async () => {
    await untilGone()
    // The driver would wait for the device there.
    assert.equal(double.hostFreesWhileBusy() - before, 0, "pinned memory was given back while work was queued")
  })

  test("never blocks, lets queued work finish, and frees what was not freed", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const event = driver.events.create(true)
    const pinned = driver.memory.allocatePinned(4)
    const address = driver.memory.allocate(4096, stream, never)
    driver.memory.upload(address, bytesOf(new Int32Array([42])), stream)
    using latch = new Latch(driver).hold(stream)
    driver.memory.copy(pinned.address, address, 4, stream)
    driver.events.record(event, stream)
    driver.close()
    assert.equal(double.alive().contexts, 1)
    latch.open()
    await until(() => double.alive().pools === 0)
    assert.equal(new Int32Array(pinned.buffer, pinned.byteOffset, 1)[0], 42)
    assert.equal(latch.timedOut, false)
    driver.memory.freePinned(pinned.address)
  })

  test("waits for the work of streams that were destroyed before", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    launch(driver, stream, noop)
    driver.streams.destroy(stream)
    driver.close()
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(double.alive().contexts, 1)
    latch.open()
  })

  test("pending completions settle", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    const done = completed(driver, stream)
    driver.close()
    latch.open()
    await done
  })

  test("a thousand times leaves nothing behind", async () => {
    for (let i = 0; i < 1000; i++) {
      const driver = open()
      const stream = driver.streams.create(0)
      const address = driver.memory.allocate(256, stream, never)
      launch(driver, stream, noop)
      driver.memory.upload(address, new Uint8Array(256), stream)
      driver.memory.free(address, stream, mark)
      driver.close()
      // One at a time: they would share the context, and giving back pinned memory waits for all of it.
      await until(() => double.alive().contexts === 0)
    }
  })
})

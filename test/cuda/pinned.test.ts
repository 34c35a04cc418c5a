/** Pinned memory below the runtime: the size of a block, its reuse, and when it is returned to the system. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { Latch, mark, never, onDouble, open, read, thrownBy, until, unknown } from "./device.js"
import { double } from "./double.js"

const MIB = 2 ** 20
const outOfMemory = 2

/** The bytes that `fn` allocated from the driver. */
function asked(fn: () => void): number {
  let sum = 0
  for (const [name, byteLength] of double.log(fn)) {
    if (name === "cuMemHostAlloc" || name === "cuMemCreate") sum += Number(byteLength)
  }
  return sum
}

/** Allocates and frees. */
function useOnce(driver: Driver, byteLength: number): number {
  const { address } = driver.memory.allocatePinned(byteLength)
  driver.memory.freePinned(address)
  return address
}

/** CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED */
const canMapHostMemory = 141

/** With drivers that can and cannot map the host's memory. */
function where(canMap: boolean, fn: () => void): void {
  double.setAttribute(canMapHostMemory, Number(canMap))
  try {
    fn()
  } finally {
    double.setAttribute(canMapHostMemory, 1)
  }
}

onDouble("pinned memory of any size", () => {
  test("takes little more than was asked for", () => {
    for (const canMap of [true, false]) {
      where(canMap, () => {
        using driver = open()
        for (const byteLength of [100_000, 3 * MIB, 5 * MIB + 1, 33 * MIB, 65 * MIB, 257 * MIB]) {
          const sum = asked(() => useOnce(driver, byteLength))
          assert.ok(sum >= byteLength && sum <= 1.07 * byteLength, `${byteLength} took ${sum}`)
        }
      })
    }
  })

  test("has a new buffer for each allocation, except for staging, where making one would be a waste", () => {
    using driver = open()
    const buffers = [false, false, true, true].map((isStaging) => {
      const { address, buffer, byteLength } = driver.memory.allocatePinned(10_000, isStaging)
      assert.ok(buffer.byteLength >= byteLength)
      driver.memory.freePinned(address)
      return buffer
    })
    assert.equal(new Set(buffers).size, 3)
    assert.equal(buffers[2], buffers[3])
  })

  test("is reused for a slightly smaller block, and not for a much smaller one", () => {
    using driver = open()
    const address = useOnce(driver, 50 * MIB)
    assert.equal(useOnce(driver, 50 * MIB - 1), address)
    assert.equal(useOnce(driver, 44 * MIB), address)
    assert.notEqual(useOnce(driver, 30 * MIB), address)
  })

  test("is returned to the system after an idle time, whatever the device does", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    const before = double.alive().pinned
    for (const byteLength of [33 * MIB, 100 * MIB, 257 * MIB]) useOnce(driver, byteLength)
    const kept = driver.memory.allocatePinned(40 * MIB)
    assert.ok(double.alive().pinned > before)
    // Memory in use stays.
    await until(() => double.alive().pinned === before + 2)
    assert.equal(double.hostFreesWhileBusy(), 0)
    assert.equal(driver.streams.query(stream), false)
    driver.memory.freePinned(kept.address)
    await until(() => double.alive().pinned === before)
    latch.open()
  })

  test("is returned after an upload, even if no pinned memory is allocated afterwards", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(100 * MIB, stream, never)
    using latch = new Latch(driver).hold(stream)
    const before = double.alive().pinned
    driver.memory.upload(address, new Uint8Array(100 * MIB), stream)
    // Of its seven blocks, one of 16 MiB and the last one, of 4 MiB, are kept.
    assert.equal(double.alive().pinned, before + 7)
    latch.open()
    await until(() => double.alive().pinned === before + 2)
    driver.memory.free(address, stream, mark)
  })

  test("small blocks stay, however often they are used", () => {
    using driver = open()
    const address = useOnce(driver, 1000)
    const calls = double.log(() => {
      for (let i = 0; i < 100; i++) assert.equal(useOnce(driver, 1000 + i), address)
    })
    assert.deepEqual(calls, [])
  })

  test("is all kept if the driver cannot map it, because freeing would wait for the device", () => {
    where(false, () => {
      using driver = open()
      const address = useOnce(driver, 257 * MIB)
      const calls = double.log(() => assert.equal(useOnce(driver, 257 * MIB), address))
      assert.deepEqual(calls, [])
    })
  })

  const mapping = ["cuMemGetAllocationGranularity", "cuMemCreate", "cuMemAddressReserve", "cuMemMap", "cuMemSetAccess"]
  for (const call of mapping) {
    test(`is locked instead if ${call} fails, and nothing of the attempt is left`, () => {
      using driver = open()
      const before = double.alive()
      double.fail(call, 1, unknown)
      if (call !== "cuMemGetAllocationGranularity") double.fail(call, 2, unknown)
      const names = double.log(() => useOnce(driver, 40 * MIB)).map(([name]) => name)
      assert.ok(names.includes("cuMemHostAlloc"))
      assert.equal(double.failuresLeft(), 0)
      assert.deepEqual(double.alive(), { ...before, pinned: before.pinned + 1 })
    })
  }

  test("has the right bytes after copies in both directions and uploads", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const byteLength = 70 * MIB
    const address = driver.memory.allocate(byteLength, stream, never)
    const pinned = driver.memory.allocatePinned(byteLength)
    const bytes = new Uint8Array(pinned.buffer, pinned.byteOffset, byteLength)
    bytes.fill(3)
    bytes[byteLength - 1] = 4
    driver.memory.copy(address, pinned.address, byteLength, stream)
    assert.deepEqual([...read(driver, address + byteLength - 2, 2, stream)], [3, 4])
    driver.memory.upload(address, new Uint8Array(byteLength).fill(5), stream)
    driver.memory.copy(pinned.address, address, byteLength, stream)
    driver.streams.synchronize(stream)
    assert.ok(bytes.every((byte) => byte === 5))
    driver.memory.freePinned(pinned.address)
    driver.memory.free(address, stream, mark)
  })
})

onDouble("pinned memory that cannot be allocated", () => {
  for (const canMap of [true, false]) {
    const name = canMap ? "" : ", where none can be mapped"
    const call = canMap ? "cuMemCreate" : "cuMemHostAlloc"

    test(`is available once idle memory has been returned${name}`, () => {
      where(canMap, () => {
        using driver = open()
        for (const byteLength of [40 * MIB, 50 * MIB, 100 * MIB]) useOnce(driver, byteLength)
        const before = double.alive().pinned
        double.fail(call, 1, outOfMemory)
        if (!canMap) {
          // Freeing waits for the device there, so it is done after draining.
          double.fail(call, 2, outOfMemory)
          assert.ok(thrownBy(() => driver.memory.allocatePinned(200 * MIB)) instanceof OutOfMemoryError)
          driver.memory.drainFrees()
        }
        useOnce(driver, 200 * MIB)
        assert.ok(double.alive().pinned < before)
        assert.equal(double.failuresLeft(), 0)
      })
    })

    test(`is available once the uploads that hold it are done${name}`, () => {
      where(canMap, () => {
        using driver = open()
        const stream = driver.streams.create(0)
        const address = driver.memory.allocate(MIB, stream, never)
        using latch = new Latch(driver, 1000).hold(stream)
        for (let i = 0; i < 50; i++) driver.memory.upload(address, new Uint8Array(4096).fill(i), stream)
        for (const nth of [1, 2]) double.fail(call, nth, outOfMemory)
        if (canMap) double.fail("cuMemHostAlloc", 1, outOfMemory)
        assert.ok(thrownBy(() => driver.memory.allocatePinned(60 * MIB)) instanceof OutOfMemoryError)
        const before = double.alive().pinned
        driver.memory.drainFrees()
        assert.ok(double.alive().pinned <= before - 50)
        assert.equal(driver.streams.query(stream), true)
        useOnce(driver, 60 * MIB)
        assert.equal(read(driver, address, 1, stream)[0], 49)
        driver.memory.free(address, stream, mark)
        latch.open()
      })
    })
  }

  test("does not make an allocation of device memory wait for uploads", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(MIB, stream, never)
    using latch = new Latch(driver).hold(stream)
    driver.memory.upload(address, new Uint8Array(1000), stream)
    driver.memory.drainFrees()
    assert.equal(driver.streams.query(stream), false)
    latch.open()
    driver.memory.free(address, stream, mark)
  })
})

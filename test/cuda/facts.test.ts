/** What the driver tells about the device and its kernels, and memory that returns to the system. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { kernel, Latch, launch, mark, never, noop, onDouble, open, thrownBy } from "./device.js"
import { double } from "./double.js"

const MIB = 2 ** 20

onDouble("facts", () => {
  test("properties are read once, at the first look, and need no context", () => {
    using driver = open()
    const opened = double.count("cuDeviceTotalMem_v2")
    const calls = double.log(() => void driver.properties).map(([name]) => String(name))
    assert.ok(calls.every((name) => name.startsWith("cuDevice")))
    assert.equal(double.count("cuDeviceTotalMem_v2"), opened + 1)
    assert.deepEqual(
      double.log(() => void driver.properties),
      [],
    )
  })

  test("properties are the driver's attributes", () => {
    using driver = open()
    const { properties } = driver
    assert.deepEqual(properties.computeCapability, { major: 9, minor: 0 })
    assert.deepEqual(properties.driverVersion, { major: 13, minor: 0 })
    assert.equal(properties.uuid, "GPU-00112233-4455-6677-8899-aabbccddeeff")
    assert.equal(properties.pciBusId, "0000:65:00.0")
    assert.deepEqual(
      [
        properties.multiprocessors,
        properties.warpSize,
        properties.maxThreadsPerMultiprocessor,
        properties.asyncEngines,
      ],
      [132, 32, 2048, 3],
    )
    assert.deepEqual(
      [properties.l2Cache, properties.memoryBusWidth, properties.clockRate, properties.memoryClockRate],
      [62914560, 6016, 1980000, 3201000],
    )
    assert.deepEqual(
      [properties.sharedMemoryPerBlock, properties.sharedMemoryPerBlockOptin, properties.sharedMemoryPerMultiprocessor],
      [49152, 232448, 233472],
    )
    assert.deepEqual(
      [properties.concurrentKernels, properties.clusterLaunch, properties.kernelTimeout, properties.integrated],
      [true, true, false, false],
    )
  })

  test("a kernel's registers, its shared and its local memory are those of its code", () => {
    using driver = open()
    const local = driver.kernels.attributes(driver.kernels.load(kernel("test_local", [])))
    assert.equal(local.localMemory, 16384)
    const shared = driver.kernels.attributes(driver.kernels.load(kernel("test_static_shared", ["out int32*"])))
    assert.deepEqual([shared.sharedMemory, shared.maxSharedMemory], [8192, 232448 - 8192])
    const many = driver.kernels.load(kernel("test_registers", []))
    const { registers, maxThreads } = driver.kernels.attributes(many)
    assert.deepEqual([registers, maxThreads], [128, 512])
    assert.equal(driver.kernels.blocksPerMultiprocessor(many, 512, 0), 1)
    const refused = thrownBy(() => driver.kernels.blocksPerMultiprocessor(many, 513, 0))
    assert.match(String(refused), /"test_registers" must have at most 512 threads.+got 513/)
    assert.deepEqual(driver.kernels.suggestBlock(many, 0, 1024), { block: 512, grid: 132 })
  })

  test("occupancy with much shared memory allows it first, as a launch does, and refuses too much", () => {
    using driver = open()
    const handle = driver.kernels.load(kernel("test_static_shared", ["out int32*"]))
    const calls = double.log(() => assert.equal(driver.kernels.blocksPerMultiprocessor(handle, 64, 100_000), 2))
    assert.ok(
      calls.some(([name, , attribute, bytes]) => name === "cuFuncSetAttribute" && attribute === 8 && bytes === 100_000),
    )
    const again = double.log(() => driver.kernels.suggestBlock(handle, 100_000, 1024))
    assert.ok(!again.some(([name]) => name === "cuFuncSetAttribute"))
    assert.match(
      String(thrownBy(() => driver.kernels.blocksPerMultiprocessor(handle, 64, 232448))),
      /at most 224256 bytes/,
    )
    assert.match(String(thrownBy(() => driver.kernels.suggestBlock(handle, 232448, 64))), /at most 224256 bytes/)
  })

  test("trim returns idle pieces and idle pinned blocks, does not wait, and keeps what queued work may use", () => {
    using driver = open()
    const [held, idle] = [driver.streams.create(0), driver.streams.create(0)]
    const [used, unused] = [
      driver.memory.allocate(64 * MIB, held, never),
      driver.memory.allocate(64 * MIB, idle, never),
    ]
    const pinned = [1, 2].map(() => driver.memory.allocatePinned(32 * MIB))
    const before = double.alive()
    using latch = new Latch(driver).hold(held)
    launch(driver, held, noop)
    driver.memory.free(used, held, mark)
    driver.memory.free(unused, idle, mark)
    for (const { address } of pinned) driver.memory.freePinned(address)
    driver.streams.synchronize(idle)
    driver.memory.trim()
    assert.equal(double.alive().pinned, before.pinned, "the latch has one, and of the two the mapped one is gone")
    const { reserved } = driver.memory.usage()
    assert.ok(reserved >= 64 * MIB && reserved < 128 * MIB, `${reserved} bytes are reserved`)
    latch.open()
    driver.streams.synchronize(held)
    driver.memory.trim()
    assert.equal(driver.memory.usage().reserved, 0)
  })
})

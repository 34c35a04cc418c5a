/** What devices and kernels say of themselves. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, bodiless, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const MIB = 2 ** 20

forEachDevice("facts", (open) => {
  test("§11 device.properties: one frozen object, with what the device has", () => {
    using device = open()
    const { properties } = device
    assert.equal(device.properties, properties)
    for (const part of [properties, properties.maxBlock, properties.maxGrid]) assert.ok(Object.isFrozen(part))
    const { multiprocessors, warpSize, maxThreadsPerBlock, maxThreadsPerMultiprocessor, totalMemory } = properties
    for (const count of [multiprocessors, warpSize, totalMemory]) assert.ok(Number.isInteger(count) && count > 0)
    assert.equal(maxThreadsPerBlock, 1024)
    assert.ok(maxThreadsPerMultiprocessor >= maxThreadsPerBlock && maxThreadsPerMultiprocessor % warpSize === 0)
    assert.ok(properties.sharedMemoryPerBlock >= 48 * 1024)
    assert.ok(properties.sharedMemoryPerBlockOptin >= properties.sharedMemoryPerBlock)
    assert.equal(properties.maxBlock[0], 1024)
    assert.equal(properties.cooperativeLaunch, true)
    assert.match(JSON.stringify(properties), /"maxGrid":\[2147483647,/)
  })

  test("§11 device.properties: versions, names and places on CUDA alone; worker threads stand for multiprocessors", () => {
    using device = open()
    const { computeCapability, driverVersion, uuid, pciBusId, multiprocessors } = device.properties
    if (device.kind === "host") {
      assert.deepEqual([computeCapability, driverVersion, uuid, pciBusId], [undefined, undefined, undefined, undefined])
      assert.equal(multiprocessors, device.driver.threads)
      return
    }
    assert.ok(computeCapability !== undefined && computeCapability.major >= 5)
    assert.ok(driverVersion !== undefined && driverVersion.major >= 12)
    assert.match(uuid ?? "", /^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.match(pciBusId ?? "", /^[0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.0$/i)
    assert.ok(Object.isFrozen(computeCapability))
  })

  test("§11 device.memory: used, reserved, peak, free and total, in bytes", () => {
    using device = open()
    using x = device.empty("uint8", 3 * MIB)
    const { used, reserved, peak, free, total } = device.memory
    assert.equal(used, x.byteLength)
    assert.ok(reserved >= used && peak >= used)
    assert.ok(free > 0 && free < total, `${free} of ${total} bytes are free`)
    if (device.kind === "host") assert.equal(total, device.properties.totalMemory)
  })

  test("§11 resetPeakMemory: the peak begins again at the bytes in use", () => {
    using device = open()
    using x = device.empty("uint8", MIB)
    device.empty("uint8", 8 * MIB).dispose()
    assert.equal(device.memory.peak, 9 * MIB)
    device.resetPeakMemory()
    assert.equal(device.memory.peak, x.byteLength)
    device.empty("uint8", 2 * MIB).dispose()
    assert.equal(device.memory.peak, 3 * MIB)
  })

  test("§11 trim: returns what nothing uses, keeps what arrays and queued work use, and waits for nothing", () => {
    using device = open()
    using kept = device.full("int32", 1000, 5)
    using latch = new Latch(device).hold()
    const busy = device.empty("uint8", 64 * MIB)
    affine.launch(over(4), 4, kept, 2, 1)
    busy.dispose()
    const before = device.memory.reserved
    device.trim()
    assert.ok(device.memory.reserved >= Math.min(before, 64 * MIB), "queued work may use it")
    latch.open()
    device.synchronize()
    device.trim()
    const { reserved, used } = device.memory
    if (device.kind === "cuda") assert.ok(reserved < 64 * MIB, `${reserved} bytes are reserved, ${used} used`)
    else assert.ok(reserved >= before, "a WebAssembly memory cannot shrink")
    assert.deepEqual([...kept.readSync().subarray(0, 5)], [11, 11, 11, 11, 5])
    using again = device.full("uint8", 64 * MIB, 3)
    assert.equal(again.subarray(64 * MIB - 1).readSync()[0], 3)
    assert.equal(latch.timedOut, false)
  })

  test("§11 kernel.attributes: what the kernel needs", () => {
    using device = open()
    const { registers, sharedMemory, maxSharedMemory, localMemory, constantMemory, maxThreads } =
      affine.attributes(device)
    assert.equal(registers === undefined, device.kind === "host")
    assert.equal(constantMemory === undefined, device.kind === "host")
    assert.deepEqual([sharedMemory, localMemory, maxThreads], [0, 0, 1024])
    assert.equal(maxSharedMemory, device.properties.sharedMemoryPerBlockOptin)
  })

  test("§11 kernel.occupancy: blocks on a multiprocessor and on the device, and their share of its warps", () => {
    using device = open()
    const { multiprocessors, warpSize, maxThreadsPerMultiprocessor } = device.properties
    for (const block of [1, 32, 100, 256, [16, 16] as const, 1024]) {
      const threads = typeof block === "number" ? block : 256
      const { blocksPerMultiprocessor, blocks, share } = affine.occupancy(device, { block })
      assert.ok(blocksPerMultiprocessor >= 1)
      assert.equal(blocks, blocksPerMultiprocessor * multiprocessors)
      const warps = blocksPerMultiprocessor * Math.ceil(threads / warpSize)
      assert.equal(share, warps / (maxThreadsPerMultiprocessor / warpSize))
      assert.ok(share > 0 && share <= 1)
    }
  })

  test("§11 kernel.occupancy: shared memory leaves room for fewer blocks", () => {
    using device = open()
    const { sharedMemoryPerBlockOptin } = device.properties
    const without = affine.occupancy(device, { block: 64 })
    const most = affine.occupancy(device, { block: 64, sharedMemory: sharedMemoryPerBlockOptin })
    assert.equal(most.blocksPerMultiprocessor, 1)
    assert.ok(without.blocksPerMultiprocessor >= most.blocksPerMultiprocessor)
    refused(() => affine.occupancy(device, { block: 64, sharedMemory: 2 ** 20 }), "AUX_OUT_OF_RANGE", "sharedMemory")
    refused(() => affine.occupancy(device, { block: [64, 32] }), "AUX_OUT_OF_RANGE", "got 2048")
  })

  test("§11 kernel.suggestBlock: no other block has a greater occupancy, and its grid fills the device", () => {
    using device = open()
    const { block, grid } = affine.suggestBlock(device)
    const best = affine.occupancy(device, { block })
    for (const other of [32, 128, 256, 512, 1024]) {
      assert.ok(affine.occupancy(device, { block: other }).share <= best.share)
    }
    assert.equal(grid, best.blocks)
    assert.ok(affine.suggestBlock(device, { maxThreads: 128 }).block <= 128)
    using x = device.from(Int32Array.of(1, 2, 3))
    affine.launch({ grid: Math.ceil(3 / block), block }, 3, x, 2, 1)
    assert.deepEqual(x.readSync(), Int32Array.of(3, 5, 7))
  })

  test("§11 facts of a closed device, and of a kernel without code for the device, are refused", () => {
    const device = open()
    const missing = bodiless[device.kind]
    refused(() => missing.attributes(device), "AUX_KERNEL_UNAVAILABLE", "test_bodiless", device.id)
    refused(() => missing.occupancy(device, { block: 1 }), "AUX_KERNEL_UNAVAILABLE", "test_bodiless")
    refused(() => missing.suggestBlock(device), "AUX_KERNEL_UNAVAILABLE", "test_bodiless")
    device.dispose()
    refused(() => device.properties, "AUX_DISPOSED", device.id)
    refused(() => device.trim(), "AUX_DISPOSED", device.id)
    refused(() => device.resetPeakMemory(), "AUX_DISPOSED", device.id)
    refused(() => affine.attributes(device), "AUX_DISPOSED", device.id)
    refused(() => affine.occupancy(device, { block: 1 }), "AUX_DISPOSED", device.id)
    refused(() => affine.suggestBlock(device), "AUX_DISPOSED", device.id)
  })
})

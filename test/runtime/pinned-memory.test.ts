import assert from "node:assert/strict"
import { availableParallelism } from "node:os"
import { test } from "node:test"
import { HostDriver } from "../../src/host/driver.js"
import { Device } from "../../src/runtime/device/device.js"
import { collect, collectUntil } from "../support/collect.js"
import { type DriverMethod, proxied } from "../support/driver-proxy.js"
import { affine, dying, once, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

/** A device that counts its pinned memory. It keeps numbers only, so that the memory can be collected. */
class Accounted {
  readonly freed: number[] = []
  readonly device: Device
  allocations = 0
  /** The next call of this method fails. */
  failing: DriverMethod | undefined

  constructor() {
    const inner = new HostDriver(3, availableParallelism(), "accounted")
    const driver = proxied(inner, (name, args, call) => {
      if (name === "memory.allocatePinned") this.allocations += 1
      if (name === "memory.freePinned") this.freed.push(Number(args[0]))
      if (name === this.failing) {
        this.failing = undefined
        throw new Error(`no ${name} today`)
      }
      return call()
    })
    this.device = new Device("host", driver, () => {})
  }

  [Symbol.dispose](): void {
    this.device.dispose()
  }
}

test("§8 pinned: pages are freed only when their uses are over and the buffer is unreachable", async () => {
  using accounted = new Accounted()
  const { device } = accounted
  const stream = device.createStream()
  const address = (() => {
    const pinned = device.pinned("int32", 4)
    pinned.dispose()
    return pinned.address
  })()
  await collectUntil(() => accounted.freed.includes(address), "a disposed array's pages")

  using latch = new Latch(device).hold(stream)
  const used = (() => {
    const pinned = device.pinned("int32", 4)
    affine.launch({ ...over(4), stream }, 4, pinned, 1, 1)
    return pinned.address
  })()
  await collect()
  await collect()
  assert.equal(accounted.freed.includes(used), false)
  latch.open()
  stream.synchronize()
  await collectUntil(() => {
    device.pinned("int32", 1).dispose() // Checks the pending releases.
    return accounted.freed.includes(used)
  }, "the pages of an array that was in use")
  assert.equal(latch.timedOut, false)
})

test("§8 pinned: a typed array keeps the pages, even after the device is closed", async () => {
  const accounted = new Accounted()
  const kept: Int32Array[] = []
  const addresses = (() => {
    const arrays = [1, 2, 3].map(() => accounted.device.pinned("int32", 4))
    kept.push(...arrays.map((pinned) => pinned.array))
    return arrays.map((pinned) => pinned.address)
  })()
  accounted.device.dispose()
  await collect()
  await collect()
  for (const address of addresses) assert.equal(accounted.freed.includes(address), false)
  kept.length = 0
  await collectUntil(() => addresses.every((address) => accounted.freed.includes(address)), "the pages after the end")
})

test("§8 pinned: pages are freed after the device is closed, even if nothing references the device", async () => {
  const { freed, address } = (() => {
    const { device, freed } = new Accounted()
    const pinned = device.pinned("int32", 4)
    device.dispose()
    return { freed, address: pinned.address }
  })()
  await collectUntil(() => freed.includes(address), "the pages of a device that nobody knows any more")
})

test("§8 read: its staging memory is freed, even if the device is disposed of meanwhile", async () => {
  const accounted = new Accounted()
  const { device } = accounted
  const x = device.full("int32", 100, 3)
  assert.deepEqual(x.readSync(), new Int32Array(100).fill(3))
  const pending = [x.read(), x.subarray(5).read()]
  device.dispose()
  await Promise.all(pending)
  assert.equal(accounted.freed.length, 3)
})

test("§8 read: if its end cannot be watched, its staging memory is not freed before the copy is over", async () => {
  using accounted = new Accounted()
  const { device } = accounted
  const x = device.full("int32", 100, 3)
  using latch = new Latch(device).hold()
  const before = accounted.freed.length
  for (const method of ["events.record", "events.whenComplete"] as const) {
    accounted.failing = method
    await assert.rejects(x.read(), new RegExp(`no ${method} today`))
  }
  accounted.failing = "streams.synchronize"
  assert.throws(() => x.readSync(), /no streams.synchronize today/)
  assert.equal(accounted.freed.length, before)
  latch.open()
  device.synchronize()
  device.pinned("int32", 1).dispose() // Checks the pending releases.
  assert.equal(accounted.freed.length, before + 3)
  assert.equal(latch.timedOut, false)
})

test("§8 read: a refused copy frees its staging memory", () => {
  using accounted = new Accounted()
  const { device } = accounted
  const x = device.full("int32", 100, 3)
  accounted.failing = "memory.copy"
  assert.throws(() => x.readSync(), /no memory.copy today/)
  assert.equal(accounted.freed.length, accounted.allocations)
  assert.deepEqual(x.readSync(), new Int32Array(100).fill(3))
})

test("§8 finalizers never crash the process: pinned memory that is collected after the device was lost", async () => {
  using accounted = new Accounted()
  const { device } = accounted
  const address = (() => {
    const pinned = device.pinned("int32", 4)
    affine.launch(over(4), 4, pinned, 1, 1)
    return pinned.address
  })()
  dying.launch({ ...once, stream: device.defaultStream })
  await assert.rejects(device.completed(), { code: "AUX_DEVICE_LOST" })
  await collectUntil(() => {
    device.dispose()
    return accounted.freed.includes(address)
  }, "the pages of a lost device")
})

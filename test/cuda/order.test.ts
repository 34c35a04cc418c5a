import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { EventHandle, StreamHandle } from "../../src/driver/handles.js"
import { AuxstreamError, CudaError } from "../../src/common/errors.js"
import { affine, Latch, launch, mark, never, onDouble, open, read, thrownBy } from "./device.js"
import { double, native } from "./double.js"

function recorded(driver: Driver, stream: StreamHandle): EventHandle {
  const event = driver.events.create(false)
  driver.events.record(event, stream)
  return event
}

onDouble("streams and events", () => {
  test("a stream runs its operations in order", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(256, stream, never)
    const range = { address, length: 1 }
    driver.memory.fill(address, new Uint8Array(4), 1, stream)
    let expected = 0
    for (let i = 0; i < 100; i++) {
      launch(driver, stream, affine, 1, range, 3, i)
      expected = (Math.imul(expected, 3) + i) | 0
    }
    assert.equal(new Int32Array(read(driver, address, 4, stream).buffer)[0], expected)
    driver.memory.free(address, stream, mark)
  })

  test("a held stream is not done, and another one still runs", () => {
    using driver = open()
    const [held, free] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(held)
    assert.equal(driver.streams.query(held), false)
    driver.streams.synchronize(free)
    assert.equal(driver.streams.query(free), true)
    latch.open()
    driver.streams.synchronize(held)
    assert.equal(driver.streams.query(held), true)
    assert.equal(latch.timedOut, false)
  })

  test("a wait binds to the latest record at the call", () => {
    using driver = open()
    const [first, second, waiting] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(second)
    const event = recorded(driver, first)
    driver.streams.wait(waiting, event)
    driver.events.record(event, second)
    driver.streams.synchronize(waiting)
    assert.equal(driver.events.query(event), false)
    driver.streams.wait(waiting, event)
    assert.equal(driver.streams.query(waiting), false)
    latch.open()
    driver.streams.synchronize(waiting)
    assert.equal(driver.events.query(event), true)
    assert.equal(latch.timedOut, false)
  })

  test("an unrecorded event is complete, and waiting for it does nothing", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const event = driver.events.create(false)
    driver.streams.wait(stream, event)
    driver.streams.synchronize(stream)
    driver.events.synchronize(event)
    assert.equal(driver.events.query(event), true)
  })

  test("destroying a stream and an event cancels nothing", () => {
    using driver = open()
    const [held, waiting] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(held)
    const event = recorded(driver, held)
    driver.streams.wait(waiting, event)
    driver.events.destroy(event)
    driver.streams.destroy(held)
    assert.equal(driver.streams.query(waiting), false)
    latch.open()
    driver.streams.synchronize(waiting)
    assert.equal(latch.timedOut, false)
  })

  test("time between two events with timing is positive, and refused for others", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const [start, end, untimed] = [driver.events.create(true), driver.events.create(true), driver.events.create(false)]
    using latch = new Latch(driver)
    driver.events.record(start, stream)
    latch.hold(stream)
    driver.events.record(end, stream)
    driver.events.record(untimed, stream)
    latch.open()
    driver.streams.synchronize(stream)
    assert.ok(driver.events.elapsedTime(start, end) > 0)
    const error = thrownBy(() => driver.events.elapsedTime(start, untimed))
    assert.ok(error instanceof CudaError)
    assert.deepEqual([error.call, error.status], ["cuEventElapsedTime", "CUDA_ERROR_INVALID_HANDLE"])
    assert.match(error.message, /invalid resource handle/)
  })

  test("a foreign stream is adopted and used, and never destroyed", () => {
    using driver = open()
    const foreign = driver.streams.create(0)
    const adopted = driver.streams.adopt(BigInt(foreign))
    assert.equal(driver.streams.foreignHandle(adopted), BigInt(foreign))
    driver.events.synchronize(recorded(driver, adopted))
  })

  test("CUDA's default streams cannot be adopted", () => {
    using driver = open()
    for (const handle of [0n, 1n, 2n, -1n, 2n ** 64n]) {
      const error = thrownBy(() => driver.streams.adopt(handle))
      assert.ok(error instanceof AuxstreamError && error.code === "AUX_INVALID_ARGUMENT", String(error))
      assert.match(error.message, new RegExp(`^Stream ${handle} cannot be adopted`))
    }
  })

  test("a stream of another device cannot be adopted", () => {
    double.setDevices(2)
    using driver = open(0)
    using other = open(1)
    double.setDevices(1)
    const error = thrownBy(() => driver.streams.adopt(BigInt(other.streams.create(0))))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_DEVICE_MISMATCH")
  })
})

onDouble("the thread's current context", () => {
  const setCurrent = (context: number): number => native("cuCtxSetCurrent", "int", ["uintptr_t"])(context)

  function current(): number {
    const out = new BigUint64Array(32)
    native("cuCtxGetCurrent", "int", ["void *"])(...([out] as never[]))
    return Number(out[0])
  }

  /** Does everything that a program does, once. */
  function useAll(driver: Driver): void {
    const [stream, other] = [driver.streams.create(0), driver.streams.create(-1)]
    const [event, timed] = [driver.events.create(false), driver.events.create(true)]
    const address = driver.memory.allocate(1024, stream, never)
    driver.memory.upload(address, new Uint8Array(1024), stream)
    driver.memory.fill(address, new Uint8Array([1, 0, 0, 0]), 4, stream)
    driver.memory.fill(address, new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0]), 4, stream)
    launch(driver, stream, affine, 2, { address, length: 4 }, 2, 1)
    driver.events.record(event, stream)
    driver.events.record(timed, stream)
    driver.streams.wait(other, event)
    assert.equal(new Int32Array(read(driver, address, 8, stream).buffer)[0], 3)
    driver.streams.synchronize(other)
    assert.ok(driver.streams.query(other) && driver.events.query(event))
    driver.events.synchronize(event)
    driver.events.elapsedTime(timed, timed)
    driver.streams.adopt(BigInt(stream))
    driver.memory.free(address, stream, mark)
    driver.memory.drainFrees()
    driver.events.destroy(event)
    driver.streams.destroy(other)
  }

  test("no context needs to be current, and none is left current", () => {
    using driver = open()
    setCurrent(0)
    useAll(driver)
    assert.equal(current(), 0)
  })

  test("another library's context stays current and does no harm", () => {
    double.setDevices(2)
    using driver = open(0)
    const other = open(1)
    double.setDevices(1)
    // A context of the other device, as a library that uses it would leave it.
    const out = new BigUint64Array(32)
    native("cuDevicePrimaryCtxRetain", "int", ["void *", "int"])(...([out, 1] as never[]))
    setCurrent(Number(out[0]))
    useAll(driver)
    assert.equal(current(), Number(out[0]))
    setCurrent(0)
    native("cuDevicePrimaryCtxRelease_v2", "int", ["int"])(1)
    other.close()
  })

  test("a driver that requires it even for calls with a stream gets it", () => {
    using driver = open()
    setCurrent(0)
    double.setStrict(true)
    useAll(driver)
    assert.equal(current(), 0)
  })
})

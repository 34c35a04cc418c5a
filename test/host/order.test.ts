import assert from "node:assert/strict"
import { test } from "node:test"
import { Latch, launch, never, open, source } from "./device.js"

const append = source("append", ["inout int32*", "int32"], "args[0][++args[0][0]] = args[1]")

test("a stream runs its commands in the order of the calls", () => {
  using driver = open()
  const stream = driver.createStream(0)
  const log = driver.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.loadKernel(append)
  for (let value = 1; value <= 1000; value++) {
    launch(driver, stream, kernel, { address: log.address, length: 1024 }, value)
  }
  driver.synchronizeStream(stream)
  assert.deepEqual(
    Array.from(words.subarray(1, 1001)),
    Array.from({ length: 1000 }, (_, index) => index + 1),
  )
})

test("a wait holds a stream until the event is complete, and holds no other stream", () => {
  using driver = open()
  const first = driver.createStream(0)
  const second = driver.createStream(0)
  const third = driver.createStream(0)
  const latch = new Latch(driver)
  try {
    const event = driver.createEvent(false)
    const kernel = driver.loadKernel(append)
    const address = driver.allocate(256, third, never)
    driver.fill(address, new Uint8Array(4), 64, third)
    latch.hold(first)
    driver.recordEvent(event, first)
    driver.waitEvent(second, event)
    launch(driver, second, kernel, { address, length: 64 }, 7)
    launch(driver, third, kernel, { address, length: 64 }, 7)
    driver.synchronizeStream(third)
    assert.equal(driver.queryStream(second), false)
    assert.equal(driver.queryEvent(event), false)
  } finally {
    latch.open()
  }
  driver.synchronizeStream(second)
  assert.equal(driver.queryStream(first), true)
})

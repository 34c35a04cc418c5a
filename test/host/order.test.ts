import assert from "node:assert/strict"
import { test } from "node:test"
import { Latch, launch, never, open, source } from "./device.js"

const append = source("append", ["inout int32*", "int32"], "args[0][++args[0][0]] = args[1]")

test("a stream runs its commands in the order of the calls", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const log = driver.memory.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.kernels.load(append)
  for (let value = 1; value <= 1000; value++) {
    launch(driver, stream, kernel, { address: log.address, length: 1024 }, value)
  }
  driver.streams.synchronize(stream)
  assert.deepEqual(
    Array.from(words.subarray(1, 1001)),
    Array.from({ length: 1000 }, (_, index) => index + 1),
  )
})

test("a wait holds a stream until the event is complete, and holds no other stream", () => {
  using driver = open()
  const first = driver.streams.create(0)
  const second = driver.streams.create(0)
  const third = driver.streams.create(0)
  const latch = new Latch(driver)
  try {
    const event = driver.events.create(false)
    const kernel = driver.kernels.load(append)
    const address = driver.memory.allocate(256, third, never)
    driver.memory.fill(address, new Uint8Array(4), 64, third)
    latch.hold(first)
    driver.events.record(event, first)
    driver.streams.wait(second, event)
    launch(driver, second, kernel, { address, length: 64 }, 7)
    launch(driver, third, kernel, { address, length: 64 }, 7)
    driver.streams.synchronize(third)
    assert.equal(driver.streams.query(second), false)
    assert.equal(driver.events.query(event), false)
  } finally {
    latch.open()
  }
  driver.streams.synchronize(second)
  assert.equal(driver.streams.query(first), true)
})

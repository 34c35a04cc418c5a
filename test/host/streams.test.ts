import assert from "node:assert/strict"
import { test } from "node:test"
import { AuxstreamError } from "../../src/common/errors.js"
import { completed, Latch, launch, open, source, thrownBy } from "./device.js"

const append = source("append", ["inout int32*", "int32"], "args[0][++args[0][0]] = args[1]")
const nothing = source("nothing", [], "")

test("a million commands can be queued behind a latch", () => {
  using driver = open()
  const stream = driver.createStream(0)
  const latch = new Latch(driver)
  const counter = driver.allocatePinned(4)
  const words = new Int32Array(counter.buffer, counter.byteOffset, 1)
  const kernel = driver.loadKernel(source("count", ["inout int32*"], "args[0][0]++"))
  const range = { address: counter.address, length: 1 }
  try {
    latch.hold(stream)
    for (let index = 0; index < 1_000_000; index++) launch(driver, stream, kernel, range)
    assert.equal(words[0], 0)
  } finally {
    latch.open()
  }
  driver.synchronizeStream(stream)
  assert.equal(words[0], 1_000_000)
})

test("a chunk of a queue is reused only after a worker has read it to its end", () => {
  using driver = open(2)
  const log = driver.allocatePinned(2 ** 16)
  const words = new Int32Array(log.buffer, log.byteOffset, 2 ** 14)
  const range = { address: log.address, length: words.length }
  const kernel = driver.loadKernel(append)
  const other = driver.createStream(0)
  const third = driver.createStream(0)
  // A launch of this kernel takes 12 words, a fill 6, and a chunk of a queue holds 2046: these lengths cross its end.
  for (let length = 165; length < 175; length++) {
    for (const early of [false, true]) {
      words[0] = 0
      const stream = driver.createStream(0)
      const latch = new Latch(driver)
      const latches = early ? [latch, new Latch(driver)] : [latch]
      const expected: number[] = []
      const add = (count: number) => {
        for (let step = 0; step < count; step++) {
          launch(driver, stream, kernel, range, expected.length)
          expected.push(expected.length)
        }
      }
      try {
        add(length)
        if (early) {
          // Everything but the link to the next chunk has been read, and no worker is free to read the link.
          driver.synchronizeStream(stream)
          for (const [index, held] of [other, third].entries()) latches[index]?.hold(held)
        } else {
          latch.hold(stream)
        }
        add(600)
      } finally {
        for (const held of latches) held.open()
      }
      driver.synchronizeStream(stream)
      assert.deepEqual(Array.from(words.subarray(1, 1 + expected.length)), expected)
    }
  }
})

test("more streams than threads: three hundred streams wait in a ring", () => {
  using driver = open(2)
  const streams = Array.from({ length: 300 }, () => driver.createStream(0))
  const log = driver.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.loadKernel(append)
  const latch = new Latch(driver)
  const event = driver.createEvent(false)
  try {
    latch.hold(streams[0] ?? 0)
    for (const [index, stream] of streams.entries()) {
      driver.waitEvent(stream, event)
      launch(driver, stream, kernel, { address: log.address, length: 1024 }, index)
      driver.recordEvent(event, stream)
    }
    assert.equal(words[0], 0)
    const other = driver.createStream(0)
    launch(driver, other, driver.loadKernel(nothing))
    driver.synchronizeStream(other)
  } finally {
    latch.open()
  }
  driver.synchronizeEvent(event)
  assert.deepEqual(Array.from(words.subarray(1, 301)), Array.from(streams.keys()))
})

test("higher priorities go first", () => {
  using driver = open(1)
  const held = driver.createStream(0)
  const latch = new Latch(driver)
  const log = driver.allocatePinned(256)
  const words = new Int32Array(log.buffer, log.byteOffset, 64)
  const kernel = driver.loadKernel(append)
  const priorities = [0, -2, -5, -1, -99, 0, -4]
  const streams = priorities.map((priority) => driver.createStream(priority))
  try {
    latch.hold(held)
    for (const [index, stream] of streams.entries()) {
      launch(driver, stream, kernel, { address: log.address, length: 64 }, index)
    }
  } finally {
    latch.open()
  }
  for (const stream of streams) driver.synchronizeStream(stream)
  assert.deepEqual(Array.from(words.subarray(1, 8)), [2, 4, 6, 1, 3, 0, 5])
})

test("streams of the same priority take turns", () => {
  using driver = open(1)
  const streams = [driver.createStream(0), driver.createStream(0)]
  const log = driver.allocatePinned(65536)
  const words = new Int32Array(log.buffer, log.byteOffset, 16384)
  const kernel = driver.loadKernel(append)
  const latch = new Latch(driver)
  try {
    latch.hold(driver.createStream(0))
    for (const [index, stream] of streams.entries()) {
      for (let count = 0; count < 1000; count++)
        launch(driver, stream, kernel, { address: log.address, length: 16384 }, index)
    }
  } finally {
    latch.open()
  }
  for (const stream of streams) driver.synchronizeStream(stream)
  const order = Array.from(words.subarray(1, 2001))
  assert.ok(order.indexOf(1) < order.lastIndexOf(0) / 4)
})

test("a stream can be destroyed with work and waits queued: all of it still runs", () => {
  using driver = open()
  const log = driver.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.loadKernel(append)
  const last = driver.createStream(0)
  const event = driver.createEvent(false)
  const latch = new Latch(driver)
  try {
    for (let round = 0; round < 100; round++) {
      const stream = driver.createStream(0)
      if (round === 0) latch.hold(stream)
      driver.waitEvent(stream, event)
      launch(driver, stream, kernel, { address: log.address, length: 1024 }, round)
      driver.recordEvent(event, stream)
      driver.destroyStream(stream)
    }
    driver.waitEvent(last, event)
    driver.destroyEvent(event)
    assert.equal(driver.queryStream(last), false)
  } finally {
    latch.open()
  }
  driver.synchronizeStream(last)
  assert.equal(words[0], 100)
})

test("streams created and destroyed in a loop reuse a few slots and keep their order", () => {
  using driver = open()
  const kernel = driver.loadKernel(nothing)
  const events = Array.from({ length: 50 }, () => driver.createEvent(false))
  for (let round = 0; round < 20_000; round++) {
    const stream = driver.createStream(0)
    const event = events[round % 50] ?? 0
    driver.waitEvent(stream, events[(round + 49) % 50] ?? 0)
    launch(driver, stream, kernel)
    driver.recordEvent(event, stream)
    driver.destroyStream(stream)
    if (round % 100 === 0) driver.synchronizeEvent(event)
  }
  for (const event of events) driver.synchronizeEvent(event)
})

test("waiting for an unrecorded event does nothing; a second record does not change earlier waits", () => {
  using driver = open()
  const one = driver.createStream(0)
  const two = driver.createStream(0)
  const three = driver.createStream(0)
  const event = driver.createEvent(false)
  driver.waitEvent(one, event)
  assert.equal(driver.queryEvent(event), true)
  driver.synchronizeEvent(event)
  const latch = new Latch(driver)
  try {
    driver.recordEvent(event, one)
    driver.waitEvent(three, event)
    latch.hold(two)
    driver.recordEvent(event, two)
    launch(driver, three, driver.loadKernel(nothing))
    driver.synchronizeStream(three)
    assert.equal(driver.queryEvent(event), false)
  } finally {
    latch.open()
  }
  driver.synchronizeEvent(event)
})

test("times are measured between events made for it, and refused otherwise", () => {
  using driver = open()
  const stream = driver.createStream(0)
  const [start, end, plain] = [driver.createEvent(true), driver.createEvent(true), driver.createEvent(false)]
  const latch = new Latch(driver)
  try {
    for (let round = 0; round < 3; round++) driver.recordEvent(start, stream)
    latch.hold(stream)
    driver.recordEvent(end, stream)
    driver.recordEvent(plain, stream)
    const error = thrownBy(() => driver.elapsedTime(start, end))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_NOT_READY")
  } finally {
    latch.open()
  }
  driver.synchronizeStream(stream)
  const time = driver.elapsedTime(start, end)
  assert.ok(time >= 0 && time < 60_000)
  assert.equal(driver.elapsedTime(end, start), -time)
  const error = thrownBy(() => driver.elapsedTime(start, plain))
  assert.ok(error instanceof AuxstreamError && error.code === "AUX_NOT_READY")
})

test("completion callbacks are called once, never inside a call, and not after they were detached", async () => {
  using driver = open()
  const stream = driver.createStream(0)
  const event = driver.createEvent(false)
  const calls: string[] = []
  driver.whenComplete(event, () => calls.push("never recorded"))
  launch(driver, stream, driver.loadKernel(nothing))
  driver.recordEvent(event, stream)
  driver.whenComplete(event, () => calls.push("first"))
  const detach = driver.whenComplete(event, () => calls.push("detached"))
  driver.whenComplete(event, () => calls.push("second"))
  detach()
  detach()
  driver.synchronizeStream(stream)
  const late = driver.whenComplete(event, () => calls.push("late detached"))
  late()
  driver.whenComplete(event, () => calls.push("late"))
  assert.deepEqual(calls, [])
  await completed(driver, stream)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(new Set(calls), new Set(["first", "late", "never recorded", "second"]))
  assert.equal(calls.length, 4)
})

test("streams of other libraries cannot be adopted", () => {
  using driver = open()
  const error = thrownBy(() => driver.adoptStream(5n))
  assert.ok(error instanceof AuxstreamError && error.code === "AUX_INVALID_ARGUMENT")
})

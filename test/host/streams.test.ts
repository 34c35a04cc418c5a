import assert from "node:assert/strict"
import { test } from "node:test"
import { AuxstreamError } from "../../src/common/errors.js"
import { completed, Latch, launch, open, source, thrownBy } from "./device.js"

const append = source("append", ["inout int32*", "int32"], "args[0][++args[0][0]] = args[1]")
const nothing = source("nothing", [], "")

test("a million commands can be queued behind a latch", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const latch = new Latch(driver)
  const counter = driver.memory.allocatePinned(4)
  const words = new Int32Array(counter.buffer, counter.byteOffset, 1)
  const kernel = driver.kernels.load(source("count", ["inout int32*"], "args[0][0]++"))
  const range = { address: counter.address, length: 1 }
  try {
    latch.hold(stream)
    for (let index = 0; index < 1_000_000; index++) launch(driver, stream, kernel, range)
    assert.equal(words[0], 0)
  } finally {
    latch.open()
  }
  driver.streams.synchronize(stream)
  assert.equal(words[0], 1_000_000)
})

test("a chunk of a queue is reused only after a worker has read it to its end", () => {
  using driver = open(2)
  const log = driver.memory.allocatePinned(2 ** 16)
  const words = new Int32Array(log.buffer, log.byteOffset, 2 ** 14)
  const range = { address: log.address, length: words.length }
  const kernel = driver.kernels.load(append)
  const other = driver.streams.create(0)
  const third = driver.streams.create(0)
  // A launch of this kernel takes 12 words, a fill 6, and a chunk of a queue holds 2046: these lengths cross its end.
  for (let length = 165; length < 175; length++) {
    for (const early of [false, true]) {
      words[0] = 0
      const stream = driver.streams.create(0)
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
          driver.streams.synchronize(stream)
          for (const [index, held] of [other, third].entries()) latches[index]?.hold(held)
        } else {
          latch.hold(stream)
        }
        add(600)
      } finally {
        for (const held of latches) held.open()
      }
      driver.streams.synchronize(stream)
      assert.deepEqual(Array.from(words.subarray(1, 1 + expected.length)), expected)
    }
  }
})

test("more streams than threads: three hundred streams wait in a ring", () => {
  using driver = open(2)
  const streams = Array.from({ length: 300 }, () => driver.streams.create(0))
  const log = driver.memory.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.kernels.load(append)
  const latch = new Latch(driver)
  const event = driver.events.create(false)
  try {
    latch.hold(streams[0] ?? 0)
    for (const [index, stream] of streams.entries()) {
      driver.streams.wait(stream, event)
      launch(driver, stream, kernel, { address: log.address, length: 1024 }, index)
      driver.events.record(event, stream)
    }
    assert.equal(words[0], 0)
    const other = driver.streams.create(0)
    launch(driver, other, driver.kernels.load(nothing))
    driver.streams.synchronize(other)
  } finally {
    latch.open()
  }
  driver.events.synchronize(event)
  assert.deepEqual(Array.from(words.subarray(1, 301)), Array.from(streams.keys()))
})

test("higher priorities go first", () => {
  using driver = open(1)
  const held = driver.streams.create(0)
  const latch = new Latch(driver)
  const log = driver.memory.allocatePinned(256)
  const words = new Int32Array(log.buffer, log.byteOffset, 64)
  const kernel = driver.kernels.load(append)
  const priorities = [0, -2, -5, -1, -99, 0, -4]
  const streams = priorities.map((priority) => driver.streams.create(priority))
  try {
    latch.hold(held)
    for (const [index, stream] of streams.entries()) {
      launch(driver, stream, kernel, { address: log.address, length: 64 }, index)
    }
  } finally {
    latch.open()
  }
  for (const stream of streams) driver.streams.synchronize(stream)
  assert.deepEqual(Array.from(words.subarray(1, 8)), [2, 4, 6, 1, 3, 0, 5])
})

test("streams of the same priority take turns", () => {
  using driver = open(1)
  const streams = [driver.streams.create(0), driver.streams.create(0)]
  const log = driver.memory.allocatePinned(65536)
  const words = new Int32Array(log.buffer, log.byteOffset, 16384)
  const kernel = driver.kernels.load(append)
  const latch = new Latch(driver)
  try {
    latch.hold(driver.streams.create(0))
    for (const [index, stream] of streams.entries()) {
      for (let count = 0; count < 1000; count++)
        launch(driver, stream, kernel, { address: log.address, length: 16384 }, index)
    }
  } finally {
    latch.open()
  }
  for (const stream of streams) driver.streams.synchronize(stream)
  const order = Array.from(words.subarray(1, 2001))
  assert.ok(order.indexOf(1) < order.lastIndexOf(0) / 4)
})

test("a stream can be destroyed with work and waits queued: all of it still runs", () => {
  using driver = open()
  const log = driver.memory.allocatePinned(4096)
  const words = new Int32Array(log.buffer, log.byteOffset, 1024)
  const kernel = driver.kernels.load(append)
  const last = driver.streams.create(0)
  const event = driver.events.create(false)
  const latch = new Latch(driver)
  try {
    for (let round = 0; round < 100; round++) {
      const stream = driver.streams.create(0)
      if (round === 0) latch.hold(stream)
      driver.streams.wait(stream, event)
      launch(driver, stream, kernel, { address: log.address, length: 1024 }, round)
      driver.events.record(event, stream)
      driver.streams.destroy(stream)
    }
    driver.streams.wait(last, event)
    driver.events.destroy(event)
    assert.equal(driver.streams.query(last), false)
  } finally {
    latch.open()
  }
  driver.streams.synchronize(last)
  assert.equal(words[0], 100)
})

test("streams created and destroyed in a loop reuse a few slots and keep their order", () => {
  using driver = open()
  const kernel = driver.kernels.load(nothing)
  const events = Array.from({ length: 50 }, () => driver.events.create(false))
  for (let round = 0; round < 20_000; round++) {
    const stream = driver.streams.create(0)
    const event = events[round % 50] ?? 0
    driver.streams.wait(stream, events[(round + 49) % 50] ?? 0)
    launch(driver, stream, kernel)
    driver.events.record(event, stream)
    driver.streams.destroy(stream)
    if (round % 100 === 0) driver.events.synchronize(event)
  }
  for (const event of events) driver.events.synchronize(event)
})

test("waiting for an unrecorded event does nothing; a second record does not change earlier waits", () => {
  using driver = open()
  const one = driver.streams.create(0)
  const two = driver.streams.create(0)
  const three = driver.streams.create(0)
  const event = driver.events.create(false)
  driver.streams.wait(one, event)
  assert.equal(driver.events.query(event), true)
  driver.events.synchronize(event)
  const latch = new Latch(driver)
  try {
    driver.events.record(event, one)
    driver.streams.wait(three, event)
    latch.hold(two)
    driver.events.record(event, two)
    launch(driver, three, driver.kernels.load(nothing))
    driver.streams.synchronize(three)
    assert.equal(driver.events.query(event), false)
  } finally {
    latch.open()
  }
  driver.events.synchronize(event)
})

test("times are measured between events made for it, and refused otherwise", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const [start, end, plain] = [driver.events.create(true), driver.events.create(true), driver.events.create(false)]
  const latch = new Latch(driver)
  try {
    for (let round = 0; round < 3; round++) driver.events.record(start, stream)
    latch.hold(stream)
    driver.events.record(end, stream)
    driver.events.record(plain, stream)
    const error = thrownBy(() => driver.events.elapsedTime(start, end))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_NOT_READY")
  } finally {
    latch.open()
  }
  driver.streams.synchronize(stream)
  const time = driver.events.elapsedTime(start, end)
  assert.ok(time >= 0 && time < 60_000)
  assert.equal(driver.events.elapsedTime(end, start), -time)
  const error = thrownBy(() => driver.events.elapsedTime(start, plain))
  assert.ok(error instanceof AuxstreamError && error.code === "AUX_NOT_READY")
})

test("completion callbacks are called once, never inside a call, and not after they were detached", async () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const event = driver.events.create(false)
  const calls: string[] = []
  driver.events.whenComplete(event, () => calls.push("never recorded"))
  launch(driver, stream, driver.kernels.load(nothing))
  driver.events.record(event, stream)
  driver.events.whenComplete(event, () => calls.push("first"))
  const detach = driver.events.whenComplete(event, () => calls.push("detached"))
  driver.events.whenComplete(event, () => calls.push("second"))
  detach()
  detach()
  driver.streams.synchronize(stream)
  const late = driver.events.whenComplete(event, () => calls.push("late detached"))
  late()
  driver.events.whenComplete(event, () => calls.push("late"))
  assert.deepEqual(calls, [])
  await completed(driver, stream)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(new Set(calls), new Set(["first", "late", "never recorded", "second"]))
  assert.equal(calls.length, 4)
})

test("streams of other libraries cannot be adopted", () => {
  using driver = open()
  const error = thrownBy(() => driver.streams.adopt(5n))
  assert.ok(error instanceof AuxstreamError && error.code === "AUX_INVALID_ARGUMENT")
})

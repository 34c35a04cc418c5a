import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { completed, launch, open, source } from "./device.js"

const nothing = source("nothing", [], "")

/** Does nothing for a time that differs from call to call, so that threads interleave differently. */
function dawdle(turns: number): void {
  for (let turn = 0; turn < turns; turn++) Math.sqrt(turn)
}

/** Waits until everything is done, within a limit. */
function finish(driver: Driver, streams: readonly StreamHandle[]): void {
  const end = performance.now() + 120_000
  for (const stream of streams) {
    while (!driver.streams.query(stream)) if (performance.now() > end) assert.fail("a stream was never woken")
    driver.streams.synchronize(stream)
  }
}

for (const threads of [1, 2, 4]) {
  test(`no wake-up is lost among ${threads} workers: waits back and forth between streams`, () => {
    using driver = open(threads)
    const streams = Array.from({ length: 5 }, () => driver.streams.create(0))
    const event = driver.events.create(false)
    const kernel = driver.kernels.load(nothing)
    for (let round = 0; round < 100_000; round++) {
      const stream = streams[round % 5] ?? 0
      if (round % 3 === 0) launch(driver, stream, kernel)
      driver.events.record(event, stream)
      driver.streams.wait(streams[(round * 7 + 2) % 5] ?? 0, event)
      if (round % 1000 === 0) dawdle(round % 77_777)
    }
    finish(driver, streams)
  })

  test(`no wake-up is lost among ${threads} workers: one command at a time`, () => {
    using driver = open(threads)
    const one = driver.streams.create(0)
    const two = driver.streams.create(0)
    const event = driver.events.create(false)
    const kernel = driver.kernels.load(nothing)
    for (let round = 0; round < 5_000; round++) {
      launch(driver, one, kernel)
      dawdle((round * 37) % 499)
      driver.events.record(event, one)
      driver.streams.wait(two, event)
      dawdle((round * 53) % 997)
      launch(driver, two, kernel)
      if (round % 100 === 0) finish(driver, [one, two])
      driver.streams.synchronize(round % 2 === 0 ? one : two)
    }
    finish(driver, [two])
  })
}

test("no wake-up is lost when the very last command of a stream is waited for", () => {
  using driver = open(2)
  const kernel = driver.kernels.load(nothing)
  const event = driver.events.create(false)
  const pairs = Array.from({ length: 4 }, () => [driver.streams.create(0), driver.streams.create(0)] as const)
  for (let round = 0; round < 50_000; round++) {
    for (const [one, two] of pairs) {
      launch(driver, one, kernel)
      driver.events.record(event, one)
      driver.streams.wait(two, event)
    }
    if (round % 8 === 7) finish(driver, pairs.flat())
  }
})

test("no completion is lost, with many pending in any order", async () => {
  using driver = open()
  const streams = Array.from({ length: 3 }, () => driver.streams.create(0))
  const kernel = driver.kernels.load(nothing)
  const pending: Promise<void>[] = []
  for (let round = 0; round < 3_000; round++) {
    const stream = streams[round % 3] ?? 0
    launch(driver, stream, kernel)
    pending.push(completed(driver, stream))
    if (round % 100 === 0) driver.streams.synchronize(stream)
    if (round % 50 === 0) await pending[round]
  }
  await Promise.all(pending)
  for (let round = 0; round < 2_000; round++) {
    launch(driver, streams[0] ?? 0, kernel)
    await completed(driver, streams[0] ?? 0)
  }
})

test("random programs give the same results on many streams as on one", () => {
  const text = "args[0][0] = Math.imul(args[0][0], 31) + args[1][0] * 3 + args[2]"
  const combine = source("combine", ["inout uint32*", "in uint32*", "uint32"], text)
  for (let seed = 1; seed <= 60; seed++) {
    const random = generator(seed)
    using driver = open(1 + random(4))
    const kernel = driver.kernels.load(combine)
    const streams = Array.from({ length: 1 + random(16) }, () => driver.streams.create(-random(6)))
    const buffers = 6
    const memory = driver.memory.allocatePinned(buffers * 256)
    const words = new Uint32Array(memory.buffer, memory.byteOffset, buffers * 64)
    const expected = new Uint32Array(buffers)
    /** The event of each buffer's last use. The next user waits for it first. */
    const events = Array.from({ length: buffers }, () => driver.events.create(false))
    for (let step = 0; step < 300; step++) {
      const stream = streams[random(streams.length)] ?? 0
      const to = random(buffers)
      const from = random(buffers)
      const value = random(1000)
      driver.streams.wait(stream, events[to] ?? 0)
      driver.streams.wait(stream, events[from] ?? 0)
      const range = (index: number) => ({ address: memory.address + index * 256, length: 1 })
      if (random(5) === 0) {
        driver.memory.copy(range(to).address, range(from).address, 4, stream)
        expected[to] = expected[from] ?? 0
      } else {
        launch(driver, stream, kernel, range(to), range(from), value)
        expected[to] = Math.imul(expected[to] ?? 0, 31) + (expected[from] ?? 0) * 3 + value
      }
      driver.events.record(events[to] ?? 0, stream)
      if (from !== to) driver.events.record(events[from] ?? 0, stream)
      if (random(40) === 0) driver.streams.synchronize(stream)
    }
    finish(driver, streams)
    const actual = Array.from({ length: buffers }, (_, index) => words[index * 64])
    assert.deepEqual(actual, Array.from(expected), `seed ${seed}`)
  }
})

/** A small generator of integers below a bound, repeatable by its seed. */
function generator(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 0x1_0000_0000) * bound)
  }
}

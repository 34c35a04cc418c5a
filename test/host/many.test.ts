import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { StreamSlot } from "../../src/host/queue/stream.js"
import { countCalls } from "../support/count.js"
import { completed, Latch, launch, open, source, thrownBy } from "./device.js"

const noop = source("noop", ["int32"], "")
const failing = source("failing", ["int32"], "throw new Error('on purpose')")

/** How often the driver checks a stream's progress while `run` runs. */
const looks = (run: () => unknown): Promise<number> => countCalls(StreamSlot.prototype, "hasPassed", run)

/** Calls `run` while a stream is held, and opens the latch afterwards. */
async function behindLatch<T>(run: (driver: Driver, held: StreamHandle, latch: Latch) => Promise<T>): Promise<T> {
  using driver = open(3)
  const held = driver.streams.create(0)
  const latch = new Latch(driver)
  latch.hold(held)
  try {
    return await run(driver, held, latch)
  } finally {
    latch.open()
    driver.streams.synchronize(held)
  }
}

function waitFor(driver: Driver, stream: StreamHandle, other: StreamHandle): void {
  const event = driver.events.create(false)
  driver.events.record(event, other)
  driver.streams.wait(stream, event)
  driver.events.destroy(event)
}

/** A stream with work that waits for another stream. */
function waitingStream(driver: Driver, other: StreamHandle): StreamHandle {
  const stream = driver.streams.create(0)
  waitFor(driver, stream, other)
  launch(driver, stream, driver.kernels.load(noop), 1)
  return stream
}

type Cost = (count: number) => Promise<number>

/** The checks for the last few, beside this many others. */
const costs: [string, Cost][] = [
  [
    "a graph destroyed behind queued work",
    (count) =>
      behindLatch((driver, held) => {
        const destroy = (times: number): void => {
          for (let i = 0; i < times; i++) {
            const stream = driver.streams.create(0)
            driver.graphs.beginCapture(stream)
            launch(driver, stream, driver.kernels.load(noop), 1)
            const graph = driver.graphs.endCapture(stream, undefined)
            driver.graphs.launch(graph, held)
            driver.graphs.destroy(graph)
            driver.streams.destroy(stream)
          }
        }
        destroy(count)
        return looks(() => destroy(10))
      }),
  ],
  [
    "a stream made, used and destroyed behind queued work",
    (count) =>
      behindLatch((driver, held) => {
        const make = (times: number): void => {
          for (let i = 0; i < times; i++) driver.streams.destroy(waitingStream(driver, held))
        }
        make(count)
        return looks(() => make(10))
      }),
  ],
  [
    "a promise of a stream while others are pending",
    (count) =>
      behindLatch(async (driver, held, latch) => {
        const pending = Array.from({ length: count }, () => completed(driver, waitingStream(driver, held)))
        const free = driver.streams.create(0)
        const cost = await looks(async () => {
          for (let i = 0; i < 10; i++) {
            launch(driver, free, driver.kernels.load(noop), 1)
            await completed(driver, free)
          }
        })
        latch.open()
        await Promise.all(pending)
        return cost
      }),
  ],
  [
    "a timing event recorded and destroyed behind queued work",
    (count) =>
      behindLatch((driver, held) => {
        const record = (times: number): void => {
          for (let i = 0; i < times; i++) {
            const event = driver.events.create(true)
            driver.events.record(event, held)
            driver.events.destroy(event)
          }
        }
        record(count)
        return looks(() => record(10))
      }),
  ],
]

describe("the host device with many objects: one more costs the same beside 2000 as beside 200", () => {
  for (const [what, cost] of costs) {
    test(what, async () => {
      const [few, many] = [await cost(200), await cost(2000)]
      assert.ok(many <= 2 * few + 100, `${few} looks beside 200, ${many} beside 2000`)
    })
  }
})

/** The checks for breaking, destroying and replacing as many streams as are busy meanwhile. */
function breakingBeside(count: number): Promise<number> {
  return behindLatch((driver, held) => {
    for (let i = 0; i < count; i++) waitingStream(driver, held)
    const broken = Array.from({ length: count }, () => {
      const stream = driver.streams.create(0)
      launch(driver, stream, driver.kernels.load(failing), 1)
      thrownBy(() => driver.streams.synchronize(stream))
      return stream
    })
    return looks(() => {
      for (const stream of broken) driver.streams.destroy(stream)
      for (let i = 0; i < count; i++) driver.streams.create(0)
    })
  })
}

test("ten times as many broken streams beside ten times as many busy ones cost about ten times as much", async () => {
  const [few, many] = [await breakingBeside(100), await breakingBeside(1000)]
  assert.ok(many <= 20 * few, `${few} looks for 100, ${many} for 1000`)
})

test("promises of a stream settle in the order of its work, not in the order of the calls", async () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const latch = new Latch(driver)
  latch.hold(stream)
  const events = Array.from({ length: 50 }, () => {
    launch(driver, stream, driver.kernels.load(noop), 1)
    const event = driver.events.create(false)
    driver.events.record(event, stream)
    return event
  })
  const settled: number[] = []
  const promises = events.map(async (_, index) => {
    const place = (index * 17) % events.length
    await new Promise<void>((resolve) => {
      driver.events.whenComplete(events[place] ?? assert.fail(), () => {
        settled.push(place)
        resolve()
      })
    })
  })
  latch.open()
  await Promise.all(promises)
  assert.deepEqual(settled, [...events.keys()])
})

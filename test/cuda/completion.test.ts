import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { NAPPING_WINDOW, POLLING_WINDOW } from "../../src/cuda/stream/completion.js"
import { DeviceLostError } from "../../src/common/errors.js"
import {
  completed,
  deviceIsLost,
  fault,
  Latch,
  launch,
  mark,
  never,
  noop,
  onDouble,
  open,
  settled,
  until,
} from "./device.js"
import { double } from "./double.js"

/** The stages of waiting, with the milliseconds after which they begin. */
const stages = [
  ["polled", 0],
  ["looked at in naps", 4 * POLLING_WINDOW],
  ["looked at by the timer", 1.5 * NAPPING_WINDOW],
] as const

async function pass(milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds
  await until(() => performance.now() > end)
}

const pastNaps = () => pass(1.5 * NAPPING_WINDOW)

onDouble("completion", () => {
  test("never settles inside the call, even for a complete event", async () => {
    using driver = open()
    const event = driver.events.create(false)
    let calls = 0
    driver.events.whenComplete(event, () => calls++)
    assert.equal(calls, 0)
    await until(() => calls === 1)
  })

  for (const [stage, waited] of stages) {
    test(`promises of one stream settle in the order of the calls, the first one ${stage}`, async () => {
      using driver = open()
      const stream = driver.streams.create(0)
      using latch = new Latch(driver).hold(stream)
      const order: number[] = []
      const all: Promise<number>[] = []
      const add = () => {
        const number = all.length
        all.push(completed(driver, stream).then(() => order.push(number)))
      }
      add()
      await pass(waited)
      latch.open()
      // New ones repeatedly, so that some are polled often when the stream gets there.
      for (let isOver = false; !isOver; await new Promise(setImmediate)) {
        isOver = driver.streams.query(stream)
        add()
      }
      await Promise.all(all)
      assert.deepEqual(
        order,
        all.map((_, number) => number),
      )
      assert.equal(latch.timedOut, false)
    })

    test(`the event loop is not blocked: ${stage}`, async () => {
      using driver = open()
      const stream = driver.streams.create(0)
      using latch = new Latch(driver).hold(stream)
      let done = false
      const completion = completed(driver, stream).then(() => (done = true))
      await pass(waited)
      assert.equal(done, false)
      latch.open()
      await completion
      assert.equal(latch.timedOut, false)
    })
  }

  test("many long waits all settle, and none invalidates another library's capture", async () => {
    using driver = open()
    const streams = Array.from({ length: 20 }, () => driver.streams.create(0))
    using latch = new Latch(driver)
    for (const stream of streams) latch.hold(stream)
    const all = streams.flatMap((stream) => [completed(driver, stream), completed(driver, stream)])
    double.captureElsewhere(streams[0] ?? 0)
    await pastNaps()
    latch.open()
    await Promise.all(all)
    assert.equal(double.endCaptureElsewhere(), 0)
    assert.equal(latch.timedOut, false)
  })

  for (const [stage, waited] of stages) {
    test(`a wait that ends first settles first: ${stage}`, async () => {
      using driver = open()
      const [long, short] = [driver.streams.create(0), driver.streams.create(0)]
      using longLatch = new Latch(driver).hold(long)
      using shortLatch = new Latch(driver).hold(short)
      let longDone = false
      const longCompletion = completed(driver, long).then(() => (longDone = true))
      const shortCompletion = completed(driver, short)
      await pass(waited)
      shortLatch.open()
      await shortCompletion
      assert.equal(longDone, false)
      longLatch.open()
      await longCompletion
    })
  }

  for (const [stage, waited] of stages) {
    test(`binds at the call, so later work on the stream does not count: ${stage}`, async () => {
      using driver = open()
      const stream = driver.streams.create(0)
      const event = driver.events.create(false)
      using first = new Latch(driver).hold(stream)
      driver.events.record(event, stream)
      using second = new Latch(driver).hold(stream)
      const done = settled(driver, event)
      await pass(waited)
      first.open()
      await done
      assert.equal(driver.streams.query(stream), false)
      second.open()
      assert.ok(!first.timedOut && !second.timedOut)
    })
  }

  for (const [stage, waited] of stages) {
    test(`binds at the call: a record of the same event later does not count: ${stage}`, async () => {
      using driver = open()
      const [stream, other] = [driver.streams.create(0), driver.streams.create(0)]
      const event = driver.events.create(false)
      using first = new Latch(driver).hold(stream)
      driver.events.record(event, stream)
      launch(driver, stream, noop)
      using second = new Latch(driver).hold(other)
      let early = 0
      // Recorded again, so the event itself is queried, twice, because each must keep its point.
      const done = Promise.all([settled(driver, event).then(() => early++), settled(driver, event).then(() => early++)])
      driver.events.record(event, other)
      await pass(waited)
      assert.equal(early, 0)
      first.open()
      await done
      assert.equal(driver.events.query(event), false)
      second.open()
      assert.ok(!first.timedOut && !second.timedOut)
    })
  }

  for (const [stage, waited] of stages) {
    test(`an event may be destroyed while it is waited for: ${stage}`, async () => {
      using driver = open()
      const stream = driver.streams.create(0)
      using latch = new Latch(driver).hold(stream)
      const [fresh, stale] = [driver.events.create(false), driver.events.create(false)]
      driver.events.record(stale, stream)
      driver.events.record(fresh, stream)
      const done = Promise.all([settled(driver, fresh), settled(driver, stale)])
      driver.events.destroy(fresh)
      driver.events.destroy(stale)
      await pass(waited)
      latch.open()
      await done
    })
  }

  for (const [stage, waited] of stages) {
    test(`a detached callback is never called: ${stage}`, async () => {
      using driver = open()
      const stream = driver.streams.create(0)
      using latch = new Latch(driver).hold(stream)
      const event = driver.events.create(false)
      driver.events.record(event, stream)
      const called: string[] = []
      const detachEarly = driver.events.whenComplete(event, () => called.push("early"))
      const detachLate = driver.events.whenComplete(event, () => called.push("late"))
      detachEarly()
      detachEarly()
      await pass(waited)
      detachLate()
      const last = settled(driver, event)
      await pass(waited)
      latch.open()
      await last
      driver.streams.synchronize(stream)
      await pass(waited)
      assert.deepEqual(called, [])
    })
  }

  test("a callback that throws is an uncaught exception, and the others are still called", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    const event = driver.events.create(false)
    driver.events.record(event, stream)
    const thrown = new Error("on purpose")
    const listeners = process.listeners("uncaughtException")
    process.removeAllListeners("uncaughtException")
    const uncaught = new Promise((resolve) => process.once("uncaughtException", resolve))
    driver.events.whenComplete(event, () => {
      throw thrown
    })
    const other = settled(driver, event)
    latch.open()
    await other
    assert.equal(await uncaught, thrown)
    for (const listener of listeners) process.on("uncaughtException", listener)
  })

  for (const [stage, waited] of stages) {
    test(`a lost device settles all waits with the loss: ${stage}`, async () => {
      using driver = open()
      const [held, broken] = [driver.streams.create(0), driver.streams.create(0)]
      const address = driver.memory.allocate(256, held, never)
      using latch = new Latch(driver).hold(held)
      const stale = driver.events.create(false)
      driver.events.record(stale, held)
      const late = [completed(driver, held), completed(driver, held), settled(driver, stale)]
      const outcomes = Promise.allSettled(late)
      await pass(waited)
      launch(driver, broken, fault)
      deviceIsLost()
      for (const outcome of await outcomes) {
        assert.ok(outcome.status === "rejected" && outcome.reason instanceof DeviceLostError)
      }
      assert.throws(() => driver.events.whenComplete(stale, () => {}), DeviceLostError)
      latch.open()
      driver.memory.free(address, held, mark)
    })
  }

  test("while every thread of the pool is busy, the timer serves all waits", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    double.holdCompiler(true)
    const threads = 4 // libuv's own number
    const busy = Array.from({ length: threads }, () => double.compileInBackground())
    await until(() => double.compilationsHeld() === threads)
    const done = completed(driver, stream)
    await pass(2 * POLLING_WINDOW)
    latch.open()
    await done
    const held = double.compilationsHeld()
    double.holdCompiler(false)
    assert.equal(held, threads)
    await Promise.all(busy)
  })
})

/** Runs a program on the double, with these tests' helpers imported. */
function run(code: string): { status: number | null; stdout: string; stderr: string } {
  const url = new URL("./device.js", import.meta.url)
  const module = `import { completed, Latch, open } from "${url.href}"\nconst driver = open()\n${code}`
  return spawnSync(process.execPath, ["--input-type=module", "--eval", module], { encoding: "utf8", timeout: 300_000 })
}

onDouble("completion and the process", () => {
  test("keeps the process alive until it settles", () => {
    const { status, stdout } = run(`
      const stream = driver.streams.create(0)
      const latch = new Latch(driver).hold(stream)
      completed(driver, stream).then(() => console.log("done", latch.timedOut))
      setTimeout(() => latch.open(), 50).unref()`)
    assert.deepEqual([status, stdout], [0, "done false\n"])
  })

  test("neither queued work nor a closing device keeps it alive", () => {
    const { status, stdout } = run(`
      const stream = driver.streams.create(0)
      const latch = new Latch(driver).hold(stream)
      driver.close()
      process.on("exit", () => console.log("ended", latch.timedOut))`)
    assert.deepEqual([status, stdout], [0, "ended false\n"])
  })

  test("a detached callback does not keep it alive", () => {
    const { status, stdout } = run(`
      const stream = driver.streams.create(0)
      const latch = new Latch(driver).hold(stream)
      const event = driver.events.create(false)
      driver.events.record(event, stream)
      driver.events.whenComplete(event, () => console.log("called"))()
      process.on("exit", () => console.log("ended", latch.timedOut))`)
    assert.deepEqual([status, stdout], [0, "ended false\n"])
  })
})

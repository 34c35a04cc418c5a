/** Memory cut by ourselves out of the driver's: its order, and what of it reaches the driver. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver, OrderMark, StreamHandle } from "../../src/driver.js"
import { OutOfMemoryError } from "../../src/runtime/errors.js"
import { Latch, launch, mark, never, noop, onDouble, open, thrownBy, untilGone } from "./device.js"
import { double } from "./double.js"

const MIB = 2 ** 20
const [unknown, unlimited] = [999, 2 ** 34]

/** Takes what is free for certain, so that whatever comes next has to be looked for: 2 MiB is the first piece. */
function takeTheRest(driver: Driver, stream: StreamHandle, used: number): number {
  return driver.allocate(2 * MIB - used, stream, never)
}

onDouble("device memory cut by ourselves", () => {
  test("no allocation and no free takes part in the order of a user's stream", () => {
    using driver = open()
    const [stream, other] = [driver.createStream(0), driver.createStream(0)]
    launch(driver, stream, noop)
    const calls = double.log(() => {
      for (let i = 0; i < 100; i++) {
        const [small, large] = [driver.allocate(1000 + i, stream, never), driver.allocate(3 * MIB, other, never)]
        launch(driver, stream, noop)
        launch(driver, other, noop)
        driver.free(small, stream, mark)
        driver.free(large, other, mark)
      }
    })
    const memory = calls.filter(([name]) => /Mem(Alloc|Free)/.test(String(name)))
    assert.equal(memory.length, 2) // A piece for small ones, and one for large ones.
    assert.ok(memory.every((call) => !call.includes(stream) && !call.includes(other)))
    // One event watches each stream, however much is freed there.
    assert.equal(calls.filter(([name]) => name === "cuEventRecord").length, 2)
    assert.equal(calls.filter(([name]) => /Query/.test(String(name))).length, 0)
  })

  test("what a stream has freed and not passed goes to itself, and to who is ordered behind the free; to nobody else", () => {
    using driver = open()
    const [held, other] = [driver.createStream(0), driver.createStream(0)]
    using latch = new Latch(driver).hold(held)
    const address = driver.allocate(MIB, held, never)
    const rest = takeTheRest(driver, held, MIB)
    const place: OrderMark = { slot: 3, tick: 7 }
    driver.free(address, held, place)
    const elsewhere = driver.allocate(MIB, other, never)
    assert.notEqual(elsewhere, address)
    assert.equal(driver.allocate(MIB, held, never), address)
    driver.free(address, held, place)
    const taken: number[] = []
    // What is free for certain comes first.
    while (!taken.includes(address) && taken.length < 5)
      taken.push(driver.allocate(MIB, other, (known) => known === place))
    assert.ok(taken.includes(address))
    latch.open()
    driver.synchronizeStream(held)
    for (const one of [...taken, rest, elsewhere]) driver.free(one, held, mark)
  })

  test("what is freed is everybody's as soon as its stream has passed, which is found out when memory is wanted", () => {
    using driver = open()
    const [first, other] = [driver.createStream(0), driver.createStream(0)]
    const latch = new Latch(driver)
    try {
      latch.hold(first)
      const address = driver.allocate(MIB, first, never)
      const rest = takeTheRest(driver, first, MIB)
      driver.free(address, first, mark)
      // Held up again, so that the stream as a whole is never seen idle.
      using second = new Latch(driver).hold(first)
      latch.open()
      const { reserved } = driver.memoryUsage()
      const end = performance.now() + 20_000
      const taken: number[] = []
      while (!taken.includes(address) && performance.now() < end) {
        for (const one of taken.splice(0)) driver.free(one, other, mark)
        taken.push(driver.allocate(MIB, other, never))
      }
      assert.ok(taken.includes(address))
      assert.ok(driver.memoryUsage().reserved <= 2 * reserved)
      second.open()
      for (const one of [...taken, rest]) driver.free(one, other, mark)
    } finally {
      latch.open()
    }
  })

  test("what was freed on a stream that is gone comes back", () => {
    using driver = open()
    const [gone, other] = [driver.createStream(0), driver.createStream(0)]
    using latch = new Latch(driver).hold(gone)
    const address = driver.allocate(MIB, gone, never)
    const rest = takeTheRest(driver, gone, MIB)
    driver.free(address, gone, mark)
    driver.destroyStream(gone)
    const taken = [driver.allocate(MIB, other, never), driver.allocate(MIB, other, never)]
    assert.ok(!taken.includes(address))
    latch.open()
    driver.drainFrees()
    assert.equal(driver.allocate(MIB, other, never), address)
    for (const one of [...taken, address, rest]) driver.free(one, other, mark)
  })

  test("a stream that is captured is neither asked nor recorded on for memory", () => {
    using driver = open()
    const [captured, other] = [driver.createStream(0), driver.createStream(0)]
    const address = driver.allocate(MIB, captured, never)
    const rest = takeTheRest(driver, captured, MIB)
    driver.free(address, captured, mark)
    driver.synchronizeStream(captured)
    driver.free(driver.allocate(MIB, captured, never), captured, mark)
    driver.beginCapture(captured)
    const calls = double.log(() => {
      for (let i = 0; i < 8; i++) driver.free(driver.allocate(MIB, other, never), other, mark)
      driver.drainFrees()
    })
    const onCaptured = calls.filter(([name, ...args]) => args.includes(captured) && name !== "cuStreamIsCapturing")
    assert.deepEqual(onCaptured, [])
    driver.destroyGraph(driver.endCapture(captured, undefined))
    driver.free(rest, other, mark)
  })

  test("small arrays and large ones lie apart, so that a large piece can be given back", () => {
    using driver = open()
    const stream = driver.createStream(0)
    const large = driver.allocate(64 * MIB, stream, never)
    driver.free(large, stream, mark)
    const small = driver.allocate(1000, stream, never)
    assert.ok(small < large || small >= large + 64 * MIB)
    driver.free(small, stream, mark)
  })

  test("before an allocation fails, pieces that nobody uses any more are given back", () => {
    using driver = open()
    const stream = driver.createStream(0)
    double.setMemory(100 * MIB)
    try {
      const [small, first] = [driver.allocate(1000, stream, never), driver.allocate(64 * MIB, stream, never)]
      driver.free(first, stream, mark)
      // Larger than what is free, and than what is left.
      assert.ok(thrownBy(() => driver.allocate(100 * MIB, stream, never)) instanceof OutOfMemoryError)
      driver.synchronizeStream(stream)
      const second = driver.allocate(90 * MIB, stream, never)
      const { used, reserved } = driver.memoryUsage()
      assert.equal(used, 1000 + 90 * MIB)
      assert.ok(reserved <= 100 * MIB)
      for (const address of [small, second]) driver.free(address, stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("a piece that cannot be had generously is taken as small as it may be", () => {
    using driver = open()
    const stream = driver.createStream(0)
    double.setMemory(3 * MIB)
    try {
      const address = driver.allocate(2 * MIB, stream, never)
      assert.equal(driver.memoryUsage().reserved, 2 * MIB)
      driver.free(address, stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("a free whose stream cannot be watched is one all the same", async () => {
    {
      using driver = open()
      const [stream, other] = [driver.createStream(0), driver.createStream(0)]
      const address = driver.allocate(MIB, stream, never)
      const rest = takeTheRest(driver, stream, MIB)
      double.fail("cuEventRecord", 1, unknown)
      driver.free(address, stream, mark)
      assert.equal(double.failuresLeft(), 0)
      assert.equal(driver.memoryUsage().used, MIB)
      driver.synchronizeStream(stream)
      assert.equal(driver.allocate(MIB, other, never), address)
      for (const one of [address, rest]) driver.free(one, other, mark)
    }
    await untilGone()
  })
})

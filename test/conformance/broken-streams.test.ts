import assert from "node:assert/strict"
import { test } from "node:test"
import { defineKernel, fork, KernelError, maybeExecuteInParallel, parallel, type Stream } from "../../src/index.js"
import { onHost } from "../support/devices.js"
import { affine, combine, latch, once, over, throwing, throwingLater } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

/** What a call throws. */
function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return undefined
}

/** Breaks a stream. @returns the error */
function breakStream(stream: Stream, code = 1): KernelError {
  throwing.launch({ ...once, stream }, code)
  const error = thrownBy(() => stream.synchronize())
  assert.ok(error instanceof KernelError)
  return error
}

onHost("broken streams", (open) => {
  test("§7 a kernel that throws: each synchronisation and later launch throws the same KernelError", async () => {
    using device = open()
    using stream = device.createStream()
    using x = device.full("int32", 4, 1)
    using event = device.createEvent()
    stream.wait(device.defaultStream)
    throwing.launch({ ...once, stream }, 17)
    event.record(stream)
    const error = thrownBy(() => stream.synchronize())
    assert.ok(error instanceof KernelError)
    assert.equal(error.code, "AUX_KERNEL_FAILED")
    assert.equal(error.kernel, "test_throwing")
    assert.match(error.message, /test_throwing.*thrown on purpose: 17/)
    assert.match(error.kernelStack, /test_throwing/)
    for (const use of [
      () => stream.synchronize(),
      () => stream.query(),
      () => event.synchronize(),
      () => event.query(),
      () => affine.launch({ ...over(4), stream }, 4, x, 2, 0),
      () => stream.run(() => x.fill(3)),
      () => stream.run(() => x.copyFrom(Int32Array.of(1, 2, 3, 4))),
      () => stream.run(() => x.readSync()),
    ]) {
      assert.equal(thrownBy(use), error, String(use))
    }
    for (const promise of [stream.completed(), event.completed(), stream.run(() => x.read())]) {
      await assert.rejects(promise, (reason) => reason === error)
    }
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1, 1))
  })

  test("§7 a kernel that throws: kernels, copies and fills that are queued behind it are skipped", () => {
    using device = open()
    using stream = device.createStream()
    using flags = device.pinned("int32", 3)
    using x = device.full("int32", 4, 1)
    stream.wait(device.defaultStream)
    throwingLater.launch({ ...once, stream }, flags)
    affine.launch({ ...over(4), stream }, 4, x, 5, 5)
    stream.run(() => x.fill(9).copyFrom(Int32Array.of(4, 4, 4, 4)))
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    const error = thrownBy(() => stream.synchronize())
    assert.ok(error instanceof KernelError)
    assert.equal(
      thrownBy(() => x.readSync()),
      error,
      "the skipped work has written nothing",
    )
    flags.copyFrom(device.wrap(x.address, "int32", 3))
    device.defaultStream.synchronize()
    assert.deepEqual(flags.array, Int32Array.of(1, 1, 1))
  })

  test("§7 a stream that waits for a broken one breaks with that as its cause; others go on", () => {
    using device = open()
    using stream = device.createStream()
    using waits = device.createStream()
    using waitsToo = device.createStream()
    using before = device.createStream()
    using x = device.full("int32", 4, 1)
    using y = device.full("int32", 4, 1)
    device.synchronize()
    using early = device.createEvent().record(stream)
    using flags = device.pinned("int32", 3)
    throwingLater.launch({ ...once, stream }, flags)
    waits.wait(stream)
    affine.launch({ ...over(4), stream: waits }, 4, y, 5, 5)
    waitsToo.wait(waits)
    early.wait(before)
    affine.launch({ ...over(4), stream: before }, 4, x, 2, 1)
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    const first = thrownBy(() => stream.synchronize())
    for (const broken of [waits, waitsToo]) {
      const error = thrownBy(() => broken.synchronize())
      assert.ok(error instanceof KernelError)
      assert.equal(error.cause, first)
      assert.equal(error.kernel, "test_throwing_later")
    }
    before.synchronize()
    assert.equal(early.query(), true)
    assert.deepEqual(x.readSync(), Int32Array.of(3, 3, 3, 3))
    assert.throws(() => y.readSync(), KernelError)
  })

  test("§7 a broken stream stays broken until it is disposed of; then the device works as before", () => {
    using device = open()
    using x = device.full("int32", 4, 1)
    for (let round = 0; round < 20; round++) {
      const stream = device.createStream()
      breakStream(stream, round)
      assert.throws(() => device.synchronize(), KernelError)
      stream.dispose()
      device.synchronize()
      affine.launch(over(4), 4, x, 1, 1)
    }
    assert.deepEqual(x.readSync(), new Int32Array(4).fill(21))
  })

  test("§7 device.synchronize: waits for the other streams even if one is broken", () => {
    using device = open()
    using broken = device.createStream()
    using busy = device.createStream()
    using x = device.full("int32", 1, 1)
    busy.wait(device.defaultStream)
    breakStream(broken)
    // This latch is never opened: it ends after its time limit.
    latch.launch({ ...once, stream: busy }, device.pinned("int32", 3), 100)
    affine.launch({ ...over(1), stream: busy }, 1, x, 1, 1)
    assert.throws(() => device.synchronize(), KernelError)
    assert.equal(busy.query(), true)
    assert.deepEqual(
      busy.run(() => x.readSync()),
      Int32Array.of(2),
    )
  })

  test("§6 freeing: memory that broken streams used is freed, and so is memory used afterwards", unsanitized, () => {
    using device = open()
    const { used } = device.memory
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on("warning", listen)
    for (let round = 0; round < 10; round++) {
      using stream = device.createStream()
      using other = device.createStream()
      using third = device.createStream()
      const made = Array.from({ length: 5 }, () => device.full("int32", 1000, 1))
      const own = stream.run(() => device.full("int32", 1000, 1))
      for (const user of [stream, other]) {
        user.wait(device.defaultStream)
        for (const array of made) user.run(() => affine.launch(over(1000), 1000, array, 1, 1))
      }
      breakStream(stream)
      for (const array of [...made, own]) array.dispose()
      const later = other.run(() => device.full("int32", 1000, 1))
      third.run(() => affine.launch(over(1000), 1000, later, 1, 1))
      device.defaultStream.wait(other)
      combine.launch(over(1000), 1000, later, later)
      later.dispose()
    }
    device.synchronize()
    assert.equal(device.memory.used, used)
    process.off("warning", listen)
    assert.deepEqual(warnings, [])
    assert.ok(device.memory.reserved < 16 * 2 ** 20)
  })

  test("§6 freeing: the end of a broken stream does not imply the end of a stream that it waited for", () => {
    using device = open()
    using held = device.createStream()
    const broken = device.createStream()
    using flags = device.pinned("int32", 3)
    using sum = device.zeros("int32", 1000)
    const x = device.full("int32", 1000, 7)
    device.synchronize()
    using hold = new Latch(device).hold(held)
    held.run(() => sum.copyFrom(x))
    throwingLater.launch({ ...once, stream: broken }, flags)
    broken.wait(held)
    broken.dispose()
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    while (flags.array[1] === 0) device.createStream().dispose()
    const { address } = x
    for (let count = 0; count < 200; count++) {
      const stream = device.createStream()
      device.defaultStream.run(() => device.empty("int32", 1).dispose())
      stream.dispose()
    }
    x.dispose()
    const others = Array.from({ length: 20 }, () => device.full("int32", 1000, -1))
    device.defaultStream.synchronize()
    assert.ok(others.every((other) => other.address !== address))
    hold.open()
    assert.deepEqual(
      held.run(() => sum.readSync()),
      new Int32Array(1000).fill(7),
    )
    for (const other of others) other.dispose()
    assert.equal(hold.timedOut, false)
  })

  test("§7 device.completed: rejects with the error that broke a stream, once the others are done", async () => {
    using device = open()
    using broken = device.createStream()
    using busy = device.createStream()
    const gone = device.createStream()
    breakStream(broken)
    using hold = new Latch(device).hold(busy)
    throwing.launch({ ...once, stream: gone }, 5)
    gone.dispose()
    let settled = false
    const outcome = device.completed().then(
      () => assert.fail("it was to reject"),
      (error: unknown) => {
        settled = true
        return error
      },
    )
    await busy.completed({ signal: AbortSignal.timeout(20) }).catch(() => {})
    assert.equal(settled, false)
    hold.open()
    const error = await outcome
    assert.ok(error instanceof KernelError)
    assert.ok(error.message.includes("on purpose: 1"))
    broken.dispose()
    await device.completed()
    device.synchronize()
    assert.equal(hold.timedOut, false)
  })

  test("§7 fork and join: a branch whose kernel throws breaks the stream that joins it, with that as its cause", () => {
    using device = open()
    using main = device.createStream()
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    main.run(() =>
      maybeExecuteInParallel(
        () => 1,
        () => throwing.launch(once, 3),
        event0,
        event1,
        aux,
      ),
    )
    const error = thrownBy(() => main.synchronize())
    assert.ok(error instanceof KernelError)
    assert.equal(
      error.cause,
      thrownBy(() => aux.synchronize()),
    )
  })

  test("§7 the pool: a branch that breaks its pooled stream does not break later forks", () => {
    using device = open()
    using x = device.full("int32", 4, 0)
    for (let round = 0; round < 50; round++) {
      using main = device.createStream()
      main.wait(device.defaultStream)
      main.run(() => {
        assert.throws(() => {
          const forked = fork(() => throwing.launch(once, round))
          forked.join()
          main.synchronize()
        }, KernelError)
      })
      const [, value] = parallel([() => 0, () => affine.launch(over(4), 4, x, 1, 1) ?? round])
      assert.equal(value, round)
    }
    assert.deepEqual(x.readSync(), new Int32Array(4).fill(50))
  })

  test("§7 thousands of kernels that throw, each on a stream of its own", async () => {
    using device = open()
    const streams = Array.from({ length: 1000 }, () => device.createStream())
    streams.forEach((stream, index) => throwing.launch({ ...once, stream }, index))
    const outcomes = await Promise.allSettled(streams.map((stream) => stream.completed()))
    outcomes.forEach((outcome, index) => {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof KernelError)
      assert.ok(outcome.reason.message.includes(`thrown on purpose: ${index}`))
    })
    for (const stream of streams) stream.dispose()
    device.synchronize()
  })

  test("§8 KernelError: whatever a kernel throws is reported as one", () => {
    using device = open()
    for (const [thrown, words] of [
      ["'a string'", "a string"],
      ["undefined", "undefined"],
      ["null", "null"],
      ["42n", "42"],
      ["{ message: 'no error' }", ""],
      ["Symbol('odd')", "odd"],
      ["new RangeError('of another class')", "of another class"],
      ["Object.create(null)", ""],
      ["new Proxy({}, { get() { throw new Error('a trap') } })", ""],
    ] as const) {
      using stream = device.createStream()
      const kernel = defineKernel({
        name: "test_odd",
        signature: [],
        host: { source: `export function test_odd() { throw ${thrown} }` },
      })
      kernel.launch({ ...once, stream })
      const error = thrownBy(() => stream.synchronize())
      assert.ok(error instanceof KernelError, thrown)
      assert.equal(error.kernel, "test_odd")
      assert.ok(error.message.includes(words), error.message)
    }
  })
})

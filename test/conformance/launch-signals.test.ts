import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, KernelError } from "../../src/index.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, latch as latchKernel, once, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

forEachOpenDevice("launches with a signal", (open) => {
  test("§8 abort: a signal that has aborted before the call throws its reason, and nothing is queued", () => {
    using device = open()
    using x = device.full("int32", 2, 5)
    const signal = AbortSignal.abort("before")
    assert.throws(
      () => affine.launch({ ...over(2), signal }, 2, x, 2, 0),
      (reason) => reason === "before",
    )
    assert.deepEqual(x.readSync(), Int32Array.of(5, 5))
  })

  test("§8 abort: a launch whose signal never aborts, or aborts after its end, is like any other", async () => {
    using device = open()
    using x = device.full("int32", 2, 0)
    const controller = new AbortController()
    const { signal } = controller
    for (let count = 0; count < 1000; count++) affine.launch({ ...over(2), signal }, 2, x, 1, 1)
    assert.deepEqual(await x.read({ signal }), Int32Array.of(1000, 1000))
    controller.abort()
    affine.launch({ ...over(2), signal: undefined }, 2, x, 1, 1)
    assert.deepEqual(await x.read(), Int32Array.of(1001, 1001))
  })

  test("§7 capture: a launch in a graph is never dropped, so a signal is refused", () => {
    using device = open()
    using x = device.full("int32", 2, 5)
    const { signal } = new AbortController()
    refused(
      () => captureGraph(() => affine.launch({ ...over(2), signal }, 2, x, 2, 0)),
      "AUX_INVALID_ARGUMENT",
      "signal",
    )
  })

  test("§8 abort: a kernel that has begun runs to its end; on CUDA, queued ones run, too", async () => {
    using device = open()
    using stream = device.createStream()
    using x = stream.run(() => device.full("int32", 2, 5))
    const controller = new AbortController()
    const { signal } = controller
    const flags = device.pinned("int32", 3)
    latchKernel.launch({ ...once, stream, signal }, flags, 20_000)
    while (Atomics.load(flags.array, 1) === 0) await new Promise(setImmediate)
    if (device.kind === "cuda") affine.launch({ ...over(2), stream, signal }, 2, x, 2, 0)
    else affine.launch({ ...over(2), stream }, 2, x, 2, 0)
    controller.abort("enough")
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    await stream.completed()
    assert.deepEqual(await stream.run(() => x.read()), Int32Array.of(10, 10))
    flags.dispose()
  })
})

onHost("launches with a signal", (open) => {
  test("§8 abort: a launch that has not begun is dropped: its stream breaks, and others go on", async () => {
    using device = open()
    const [stream, other] = [device.createStream(), device.createStream()]
    using x = device.full("int32", 2, 5)
    using y = device.full("int32", 2, 5)
    await device.completed()
    const controller = new AbortController()
    const { signal } = controller
    using latch = new Latch(device).hold(stream)
    for (const array of [x, y]) affine.launch({ ...over(2), stream, signal }, 2, array, 2, 0)
    affine.launch({ ...over(2), stream: other, signal }, 2, device.full("int32", 2, 1), 2, 0)
    await other.completed()
    controller.abort("enough")
    assert.ok(isHeld(stream))
    latch.open()
    const isDropped = (error: unknown) =>
      error instanceof KernelError &&
      error.kernel === "test_affine" &&
      error.cause === "enough" &&
      error.message.includes("dropped")
    await assert.rejects(stream.completed(), isDropped)
    assert.throws(() => affine.launch({ ...over(2), stream }, 2, x, 2, 0), isDropped)
    // The array that it should have written is refused until it is written again.
    for (const array of [x, y]) {
      await assert.rejects(array.read(), isDropped)
      assert.deepEqual(await array.fill(7).read(), Int32Array.of(7, 7))
    }
    await other.completed()
    assert.equal(latch.timedOut, false)
    for (const one of [stream, other]) one.dispose()
  })

  test("§8 abort: one signal drops thousands of launches, on any number of streams", unsanitized, async () => {
    using device = open()
    const controller = new AbortController()
    const { signal } = controller
    const streams = Array.from({ length: 3 }, () => device.createStream())
    const counts = streams.map((stream) => stream.run(() => device.zeros("int32", 1)))
    await device.completed()
    using latch = new Latch(device)
    for (const stream of streams) latch.hold(stream)
    for (let count = 0; count < 3000; count++) {
      for (const [index, stream] of streams.entries()) {
        const array = counts[index]
        if (array !== undefined) affine.launch({ ...over(1), stream, signal }, 1, array, 1, 1)
      }
    }
    controller.abort(new Error("gone"))
    latch.open()
    const outcomes = await Promise.allSettled(streams.map((stream) => stream.completed()))
    for (const outcome of outcomes) {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof KernelError)
      assert.equal(outcome.reason.cause, signal.reason)
    }
    for (const one of [...streams, ...counts]) one.dispose()
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { rejected } from "../support/errors.js"
import { affine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("completion", (open) => {
  test("§4 completed: the promise of a stream is bound at the call, and does not block the event loop", async () => {
    using device = open()
    using stream = device.createStream()
    using first = new Latch(device).hold(stream)
    const promise = stream.completed()
    using second = new Latch(device).hold(stream)
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.ok(turns > 0)
    clearInterval(counting)
    first.open()
    await promise
    assert.ok(isHeld(stream))
    second.open()
    await stream.completed()
    assert.equal(stream.query(), true)
    assert.equal(first.timedOut || second.timedOut, false)
  })

  test("§4 completed: the promise of a device waits for every stream's work", async () => {
    using device = open()
    const streams = Array.from({ length: 5 }, () => device.createStream())
    using x = device.zeros("int32", 5)
    device.synchronize()
    using latch = new Latch(device).hold(streams[4])
    streams.forEach((stream, index) => {
      affine.launch({ ...over(1), stream }, 1, x.subarray(index, index + 1), 1, index + 1)
    })
    let settled = false
    const promise = device.completed().then(() => (settled = true))
    await streams[0]?.completed()
    assert.equal(settled, false)
    latch.open()
    await promise
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 3, 4, 5))
    assert.equal(latch.timedOut, false)
    for (const stream of streams) stream.dispose()
  })

  test("§4 completed: the promise of a device also waits for streams that were disposed of", async () => {
    using device = open()
    const stream = device.createStream()
    using latch = new Latch(device).hold(stream)
    stream.dispose()
    let settled = false
    const promise = device.completed().then(() => (settled = true))
    await device.defaultStream.completed()
    await new Promise(setImmediate)
    assert.equal(settled, false)
    latch.open()
    await promise
    assert.equal(latch.timedOut, false)
  })

  test("§4 completed: the promise of an idle stream settles, and so do thousands at a time", async () => {
    using device = open()
    await device.defaultStream.completed()
    using x = device.zeros("int32", 1)
    const promises: Promise<void>[] = []
    for (let step = 0; step < 3000; step++) {
      affine.launch(over(1), 1, x, 1, 1)
      promises.push(device.defaultStream.completed())
    }
    await Promise.all(promises)
    assert.deepEqual(x.readSync(), Int32Array.of(3000))
  })

  test("§8 abort: the promise rejects with the signal's reason, and the work continues", async () => {
    using device = open()
    using stream = device.createStream()
    using event = device.createEvent()
    using x = device.full("int32", 2, 1)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    affine.launch({ ...over(2), stream }, 2, x, 7, 0)
    event.record(stream)
    const controller = new AbortController()
    const { signal } = controller
    const waiters = [stream.completed({ signal }), event.completed({ signal }), device.completed({ signal })]
    const stays = stream.completed()
    const reason = new Error("no more patience")
    controller.abort(reason)
    for (const outcome of await Promise.allSettled(waiters)) {
      assert.equal(outcome.status === "rejected" && outcome.reason, reason)
    }
    assert.ok(isHeld(stream))
    latch.open()
    await stays
    await stream.completed({ signal: new AbortController().signal })
    assert.deepEqual(
      stream.run(() => x.readSync()),
      Int32Array.of(7, 7),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§8 abort: a signal that was already aborted rejects at once, even if the work is done", async () => {
    using device = open()
    using stream = device.createStream()
    using event = device.createEvent().record(stream)
    const signal = AbortSignal.abort("before")
    for (const target of [stream, event, device]) {
      await assert.rejects(target.completed({ signal }), (reason) => reason === "before")
    }
  })

  test("§8 abort: aborting after the end does nothing, and the signal keeps no listener", async () => {
    using device = open()
    const controller = new AbortController()
    const { signal } = controller
    let listeners = 0
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1
      addEventListener.apply(signal, args)
    }
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1
      removeEventListener.apply(signal, args)
    }
    for (let round = 0; round < 20; round++) await device.defaultStream.completed({ signal })
    assert.equal(listeners, 0)
    controller.abort()
  })

  test("§8 abort: one signal serves any number of promises without leaking listeners, and rejects them all", async () => {
    using device = open()
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on("warning", note)
    const streams = Array.from({ length: 12 }, () => device.createStream())
    const controller = new AbortController()
    const { signal } = controller
    await Promise.all(streams.map((stream) => stream.completed({ signal })))
    using latch = new Latch(device).hold(streams[0])
    const event = device.createEvent().record(streams[0])
    const waiting = [...Array.from({ length: 12 }, () => event), device].map((target) => target.completed({ signal }))
    controller.abort("enough")
    for (const outcome of await Promise.allSettled(waiting)) {
      assert.deepEqual(outcome, { status: "rejected", reason: "enough" })
    }
    latch.open()
    await new Promise(setImmediate)
    process.off("warning", note)
    assert.deepEqual(warnings, [])
    assert.equal(latch.timedOut, false)
    for (const stream of streams) stream.dispose()
  })

  test("§8 abort: a signal of another realm, or of a test's DOM, is accepted", async () => {
    using device = open()
    const listeners = new Set<() => void>()
    const signal = {
      aborted: false,
      reason: undefined as unknown,
      addEventListener: (_: string, listener: () => void) => listeners.add(listener),
      removeEventListener: (_: string, listener: () => void) => listeners.delete(listener),
    }
    using latch = new Latch(device).hold()
    const promise: unknown = Reflect.apply(device.completed, device, [{ signal }])
    Object.assign(signal, { aborted: true, reason: "enough" })
    for (const listener of listeners) listener()
    await assert.rejects(Promise.resolve(promise), (reason) => reason === "enough")
    latch.open()
    assert.equal(listeners.size, 0)
  })

  test("§8 completed: rejects for a stream, an event or a device that was disposed of", async () => {
    using device = open()
    const stream = device.createStream({ name: "gone" })
    const event = device.createEvent({ name: "over" })
    stream.dispose()
    event.dispose()
    await rejected(() => stream.completed(), "AUX_DISPOSED", "gone")
    await rejected(() => event.completed(), "AUX_DISPOSED", "over")
  })

  test("§6 host: a settled completed() orders streams behind the work without a wait", async () => {
    using device = open()
    using producer = device.createStream()
    using consumer = device.createStream()
    using x = producer.run(() => device.full("int32", 64, 1))
    let expected = 1
    for (let round = 0; round < 300; round++) {
      affine.launch({ ...over(64), stream: producer }, 64, x, 3, round)
      await producer.completed()
      affine.launch({ ...over(64), stream: consumer }, 64, x, 5, 1)
      await consumer.completed()
      expected = (Math.imul((Math.imul(expected, 3) + round) | 0, 5) + 1) | 0
    }
    assert.deepEqual(x.readSync(), new Int32Array(64).fill(expected))
  })
})

onHost("completion", (open) => {
  test("§4 completed: the promises of one stream settle in the order of the calls", async () => {
    using device = open()
    using stream = device.createStream()
    using x = device.zeros("int32", 1)
    device.synchronize()
    await stream.run(async () => {
      for (let round = 0; round < 50; round++) {
        const settled: number[] = []
        const promises = Array.from({ length: 30 }, async (_, index) => {
          if (index % 4 > 0) affine.launch(over(1), 1, x, 1, 1) // Otherwise it waits for the same point as the previous one.
          await [() => stream.completed(), () => x.read(), () => stream.record().completed()][index % 3]?.()
          settled.push(index)
        })
        await Promise.all(promises)
        assert.deepEqual(settled, Array.from(settled.keys()))
      }
    })
  })
})

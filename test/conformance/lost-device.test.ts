import assert from "node:assert/strict"
import { test } from "node:test"
import { type Device, DeviceLostError } from "../../src/index.js"
import { onHost } from "../support/devices.js"
import { affine, dying, once, over, spin } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

/** Loses the device by ending one of its threads. */
async function lose(device: Device): Promise<DeviceLostError> {
  using stream = device.createStream()
  dying.launch({ ...once, stream })
  const error = await stream.completed().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof DeviceLostError, String(error))
  return error
}

onHost("a lost device", (open) => {
  test("§7 a worker that dies loses the device: later calls throw DeviceLostError with the first failure as cause", async () => {
    using device = open()
    using stream = device.createStream()
    using event = device.createEvent().record()
    using x = device.full("int32", 4, 1)
    await affine.prepare(device)
    const error = await lose(device)
    assert.equal(error.code, "AUX_DEVICE_LOST")
    assert.ok(error.cause instanceof Error)
    assert.match(error.message, /test_dying/)
    for (const use of [
      () => device.createStream(),
      () => device.empty("int32", 1),
      () => device.from(Int32Array.of(1)),
      () => device.pinned("int32", 1),
      () => device.memory,
      () => device.synchronize(),
      () => stream.record(event),
      () => stream.query(),
      () => stream.synchronize(),
      () => event.query(),
      () => event.synchronize(),
      () => x.fill(1),
      () => x.readSync(),
      () => x.copyFrom(Int32Array.of(1, 2, 3, 4)),
      () => affine.launch(over(4), 4, x, 1, 1),
      () => spin.launch(once, 1),
    ]) {
      assert.throws(use, (thrown) => thrown instanceof DeviceLostError && thrown.cause === error.cause, String(use))
    }
    for (const promise of [stream.completed(), event.completed(), device.completed(), x.read()]) {
      await assert.rejects(promise, DeviceLostError)
    }
  })

  test("§7 a lost device without streams says so, too", async () => {
    using device = open()
    const { cause } = await lose(device)
    assert.throws(
      () => device.synchronize(),
      (error) => error instanceof DeviceLostError && error.cause === cause,
    )
    await assert.rejects(device.completed(), (error) => error instanceof DeviceLostError && error.cause === cause)
  })

  test("§7 pending promises reject, and disposing of everything works quietly", async () => {
    const device = open()
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on("warning", listen)
    const held = device.createStream()
    const latch = new Latch(device).hold(held)
    const pinned = device.pinned("int32", 4)
    const x = device.full("int32", 4, 1)
    const event = device.createEvent().record(held)
    latch.waitUntilEntered()
    const pending = [held.completed(), event.completed(), held.run(() => x.read()), device.completed()]
    const outcomes = Promise.allSettled(pending)
    await lose(device)
    for (const outcome of await outcomes) {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof DeviceLostError)
    }
    const view = x.subarray(1)
    for (const thing of [view, x, event, pinned, held, held, device, device]) thing.dispose()
    latch.open()
    await new Promise(setImmediate)
    process.off("warning", listen)
    assert.deepEqual(warnings, [])
  })

  test("§7 a device can be opened again after it was lost", async () => {
    for (let round = 0; round < 3; round++) {
      using device = open()
      using x = device.full("int32", 4, round)
      assert.deepEqual(await x.read(), new Int32Array(4).fill(round))
      await lose(device)
    }
    using device = open()
    using x = device.full("int32", 4, 1)
    affine.launch(over(4), 4, x, 3, 1)
    assert.deepEqual(x.readSync(), Int32Array.of(4, 4, 4, 4))
  })
})

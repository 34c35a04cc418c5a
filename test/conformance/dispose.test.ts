import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, defineKernel, type Device, type DeviceArray, fork, openDevice, runIf } from "../../src/index.js"
import { forEachDevice } from "../support/devices.js"
import { refused, rejected } from "../support/errors.js"
import { affine, once, over, spin } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

/** Polls a condition without blocking the event loop. */
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000
  while (!condition()) {
    assert.ok(performance.now() < end, "waited 20 s in vain")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function everyUse(device: Device): (() => unknown)[] {
  return [
    () => device.defaultStream,
    () => device.createStream(),
    () => device.createEvent(),
    () => device.empty("int32", 1),
    () => device.zeros("int32", 1),
    () => device.full("int32", 1, 1),
    () => device.from(Int32Array.of(1)),
    () => device.pinned("int32", 1),
    () => device.wrap(256, "int32", 1),
    () => device.streamFromHandle(1n),
    () => device.scope(() => 1),
    () => device.memory,
    () => device.synchronize(),
  ]
}

forEachDevice("disposing of devices", (open) => {
  test("§4 openDevice: each open counts a reference, the last dispose closes", () => {
    const first = open()
    const second = open()
    assert.equal(first, second)
    first.dispose()
    assert.equal(second.disposed, false)
    using x = second.full("int32", 3, 1)
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1))
    second.dispose()
    assert.equal(first.disposed, true)
    first.dispose()
    first.dispose()
    const third = open()
    assert.notEqual(third, first)
    assert.equal(third.disposed, false)
    third.dispose()
  })

  test("§8 dispose: disposing of the device disposes of what was made from it, and every use is refused", async () => {
    const device = open()
    const stream = device.createStream()
    const event = device.createEvent().record()
    const x = device.full("int32", 4, 1)
    const view = x.subarray(1)
    const empty = device.empty("int32", 0)
    const wrapped = device.wrap(x.address, "int32", 4)
    const pinned = device.pinned("int32", 4)
    const { defaultStream } = device
    device.dispose()
    for (const thing of [device, stream, event, x, view, empty, wrapped, pinned, defaultStream]) {
      assert.equal(thing.disposed, true, thing.constructor.name)
      thing.dispose()
    }
    for (const use of everyUse(device)) refused(use, "AUX_DISPOSED", device.id)
    for (const use of [
      () => x.readSync(),
      () => x.fill(1),
      () => x.copyFrom(Int32Array.of(1, 2, 3, 4)),
      () => x.subarray(0),
      () => view.fill(1),
      () => empty.readSync(),
      () => wrapped.readSync(),
      () => pinned.array,
      () => pinned.copyFrom(x),
      () => stream.run(() => 1),
      () => stream.record(),
      () => stream.wait(defaultStream),
      () => stream.query(),
      () => stream.synchronize(),
      () => stream.handle,
      () => event.record(),
      () => event.wait(stream),
      () => event.query(),
      () => event.synchronize(),
      () => event.handle,
      () => affine.launch(over(4), 4, x, 1, 1),
      () => spin.launch({ ...once, stream }, 1),
    ]) {
      refused(use, "AUX_DISPOSED")
    }
    await rejected(() => device.completed(), "AUX_DISPOSED", device.id)
    await rejected(() => stream.completed(), "AUX_DISPOSED")
    await rejected(() => event.completed(), "AUX_DISPOSED")
    await rejected(() => x.read(), "AUX_DISPOSED")
    await rejected(() => spin.prepare(device), "AUX_DISPOSED", device.id)
  })

  test("§8 dispose: never blocks, and queued work is finished first", async () => {
    const device = open()
    const stream = device.createStream()
    const pinned = device.pinned("int32", 4)
    const { array } = pinned
    const x = stream.run(() => device.full("int32", 4, 3))
    const latch = new Latch(device).hold(stream)
    affine.launch({ ...over(4), stream }, 4, x, 5, 1)
    stream.run(() => pinned.copyFrom(x))
    device.dispose()
    assert.deepEqual([...array], [0, 0, 0, 0])
    latch.open()
    await until(() => array[3] !== 0)
    assert.deepEqual([...array], [16, 16, 16, 16])
    assert.equal(latch.timedOut, false)
  })

  test("§8 dispose: pending promises settle", async () => {
    const device = open()
    const stream = device.createStream()
    const event = device.createEvent()
    const x = stream.run(() => device.full("int32", 4, 3))
    const latch = new Latch(device).hold(stream)
    event.record(stream)
    const pending = [stream.completed(), event.completed(), device.completed()]
    const read = stream.run(() => x.read())
    const aborted = stream.completed({ signal: AbortSignal.timeout(1) })
    device.dispose()
    await assert.rejects(aborted, { name: "TimeoutError" })
    latch.open()
    await Promise.all(pending)
    assert.deepEqual(await read, Int32Array.of(3, 3, 3, 3))
    assert.equal(latch.timedOut, false)
  })

  test("§8 dispose: a device that is disposed of inside a capture, a conditional's body or a fork says so, and no more", async () => {
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on("warning", listen)
    const uses: ((device: Device, flag: DeviceArray<"int32">) => unknown)[] = [
      (device) => captureGraph(() => device.dispose(), { device }),
      (device, flag) => captureGraph(() => runIf(flag, () => device.dispose()), { device }),
      (device) => {
        using forked = fork(() => device.dispose())
        return forked.join()
      },
    ]
    for (const use of uses) {
      const device = open()
      const flag = device.zeros("int32", 1)
      refused(() => use(device, flag), "AUX_DISPOSED", device.id)
    }
    await new Promise(setImmediate)
    process.off("warning", listen)
    assert.deepEqual(warnings, [])
  })

  test("§8 dispose: a device can be opened repeatedly, and kernels defined once run on each", async () => {
    const kernel = defineKernel({
      name: "test_once",
      signature: ["inout int32*"],
      cuda: { source: 'extern "C" __global__ void test_once(int* x) { x[0] = x[0] * 7 + 1; }' },
      host: { source: "export function test_once(launch, x) { x[0] = x[0] * 7 + 1 }" },
    })
    for (let round = 0; round < 8; round++) {
      using device = open()
      await affine.prepare(device)
      using x = device.full("int32", 1, round)
      affine.launch(over(1), 1, x, 2, 1)
      if (device.kind === "host") kernel.launch(once, x)
      const [value] = await x.read()
      assert.equal(value, device.kind === "host" ? (2 * round + 1) * 7 + 1 : 2 * round + 1)
    }
  })

  test("§8 dispose: objects of a disposed device are refused by the reopened device", () => {
    const former = open()
    const event = former.createEvent().record()
    const stream = former.createStream()
    const array = former.zeros("int32", 4)
    former.dispose()
    using device = open()
    const launch = () => affine.launch({ ...over(4), stream: device.defaultStream }, 4, array, 1, 1)
    for (const use of [() => device.defaultStream.wait(event), () => device.defaultStream.wait(stream), launch]) {
      refused(use, "AUX_DISPOSED", "was disposed of")
    }
  })

  test("§4 openDevice: refuses options that differ from those of the open device", () => {
    using device = open()
    if (device.kind === "host") {
      refused(() => openDevice("host", { threads: 3 }), "AUX_INVALID_ARGUMENT", "threads", "3", "4")
    }
    using again = openDevice(device.kind === "host" ? "host" : `cuda:${Number(device.id.replace("cuda:", ""))}`)
    assert.equal(again, device)
  })

  test("§8 dispose: `using` disposes of everything that owns something", () => {
    const disposed: { readonly disposed: boolean }[] = []
    {
      using device = open()
      using stream = device.createStream()
      using event = device.createEvent()
      using x = device.empty("int32", 1)
      using pinned = device.pinned("int32", 1)
      disposed.push(device, stream, event, x, pinned)
      assert.ok(disposed.every((thing) => !thing.disposed))
    }
    assert.ok(disposed.every((thing) => thing.disposed))
  })
})

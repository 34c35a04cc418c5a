/** Our streams in another library's capture: work queued there becomes part of that library's graph. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openDevice, parallel } from "../../src/index.js"
import { refused, rejected } from "../support/errors.js"
import { Latch, mark, never, noop, onDouble, open, takeWarnings, unknown } from "./device.js"
import { double, native } from "./double.js"
import { ForeignCapture } from "./foreign-capture.js"

const MIB = 2 ** 20

onDouble("a stream that another library captures", () => {
  test("is neither queried nor recorded on for memory", () => {
    using driver = open()
    const [captured, other] = [driver.streams.create(0), driver.streams.create(0)]
    const address = driver.memory.allocate(33 * MIB, captured, never)
    driver.streams.foreignHandle(captured)
    const capture = new ForeignCapture(captured)
    driver.memory.free(address, captured, mark)
    const taken = [driver.memory.allocate(34 * MIB, other, never), driver.memory.allocate(34 * MIB, other, never)]
    capture.end()
    driver.streams.synchronize(captured)
    for (const one of taken) driver.memory.free(one, other, mark)
  })

  test("does not prevent loading a kernel, and neither disturbs the other", () => {
    using driver = open()
    const [captured, other] = [driver.streams.create(0), driver.streams.create(0)]
    driver.streams.foreignHandle(captured)
    const capture = new ForeignCapture(captured)
    driver.kernels.load(noop)
    capture.end()
    driver.memory.free(driver.memory.allocate(40 * MIB, other, never), other, mark)
    driver.memory.drainFrees()
  })

  test("keeps the memory that it uses, even if the array is disposed of during the capture", () => {
    using device = openDevice("cuda:0")
    const [used, other, third] = [device.createStream(), device.createStream(), device.createStream()]
    const array = used.run(() => device.empty("uint8", 64 * MIB))
    other.wait(used)
    other.run(() => array.subarray(0, 4).fill(1)) // No stream is ordered after both uses.
    using latch = new Latch(device.driver).hold(used.state.handle)
    used.run(() => array.subarray(4).fill(1))
    const { address } = array
    const capture = new ForeignCapture(Number(used.handle))
    array.dispose()
    capture.end()
    const taken = third.run(() => [1, 2].map(() => device.empty("uint8", 64 * MIB)))
    assert.ok(taken.every((one) => one.address !== address))
    latch.open()
    device.synchronize()
    device.empty("uint8", 1)
    assert.ok(device.memory.used < 64 * MIB * 3)
    latch.free()
  })

  test("costs the same however much memory it holds, and that memory is reused before an allocation fails", () => {
    double.setMemory(640 * MIB)
    try {
      using device = openDevice("cuda:0")
      const [used, other] = [device.createStream(), device.createStream()]
      const arrays = used.run(() => Array.from({ length: 100 }, () => device.empty("uint8", 4 * MIB)))
      const capture = new ForeignCapture(Number(used.handle))
      for (const array of arrays) array.dispose()
      const asked = double.count("cuStreamIsCapturing")
      other.run(() => device.empty("uint8", 1000).dispose())
      assert.ok(double.count("cuStreamIsCapturing") - asked < 20)
      capture.end()
      used.synchronize()
      other.run(() => device.empty("uint8", 500 * MIB)) // This needs the memory of the hundred arrays.
    } finally {
      double.setMemory(2 ** 34)
    }
  })

  test("uses one internal stream to release what thousands of arrays held", () => {
    using device = openDevice("cuda:0")
    const [used, beside, other] = [device.createStream(), device.createStream(), device.createStream()]
    const arrays = used.run(() => Array.from({ length: 3000 }, () => device.empty("uint8", 1000)))
    beside.wait(used)
    for (const array of arrays) {
      used.run(() => array.subarray(0, 500).fill(1))
      beside.run(() => array.subarray(500).fill(1)) // No stream is ordered after both uses.
    }
    const before = double.alive().streams
    const capture = new ForeignCapture(Number(used.handle))
    for (const array of arrays) array.dispose()
    capture.end()
    for (let i = 0; i < 1000; i++) other.run(() => device.empty("uint8", 8).dispose())
    assert.equal(double.alive().streams, before + 1)
    assert.equal(device.memory.used, 0)
  })

  test("does not prevent disposing of the device, even after a fork made a pool stream enter the capture", () => {
    const device = openDevice("cuda:0")
    const shown = device.createStream()
    const [x, y] = [device.zeros("int32", 4), device.zeros("int32", 4)]
    device.synchronize()
    const capture = new ForeignCapture(Number(shown.handle))
    shown.run(() => parallel([() => x.fill(1), () => y.fill(2)]))
    device.dispose()
    assert.equal(device.disposed, true)
    capture.end()
  })

  test("is recognised by an event that the other library recorded", () => {
    using keeper = open()
    using device = openDevice("cuda:0")
    const stream = device.createStream()
    const array = stream.run(() => device.empty("uint8", 33 * MIB).fill(1))
    device.synchronize()
    using event = device.createEvent()
    const handle = Number(event.handle)
    const foreignHandle = keeper.streams.create(0)
    const capture = new ForeignCapture(foreignHandle)
    assert.equal(native("cuEventRecord", "int", ["uintptr_t", "uintptr_t"])(handle, foreignHandle), 0)
    stream.wait(event)
    const calls = double.log(() => {
      array.dispose()
      refused(() => stream.dispose(), "AUX_STREAM_CAPTURING")
    })
    const { state } = stream
    assert.ok(calls.every(([name, ...args]) => !args.includes(state.handle) || name === "cuStreamIsCapturing"))
    // The stream is joined back, as its author would do.
    using back = device.createEvent().record(stream)
    native("cuStreamWaitEvent", "int", ["uintptr_t", "uintptr_t", "uint32_t"])(foreignHandle, Number(back.handle), 0)
    capture.end()
  })

  test("keeps pinned memory no longer than the capture, even if only pinned memory is allocated", () => {
    using device = openDevice("cuda:0")
    const stream = device.createStream()
    const source = stream.run(() => device.empty("uint8", MIB))
    const handle = Number(stream.handle)
    for (let round = 0; round < 40; round++) {
      const pinned = device.pinned("uint8", MIB)
      stream.run(() => pinned.copyFrom(source))
      const capture = new ForeignCapture(handle)
      pinned.allocation.dispose() // As the garbage collector does.
      capture.end()
      stream.synchronize()
    }
    assert.ok(double.alive().pinned < 8, `${double.alive().pinned} blocks`)
  })

  test("counts as captured if that query fails", () => {
    using driver = open()
    const [captured, other] = [driver.streams.create(0), driver.streams.create(0)]
    driver.streams.foreignHandle(captured)
    const capture = new ForeignCapture(captured)
    double.fail("cuStreamIsCapturing", 1, 999)
    const calls = double.log(() => driver.streams.destroy(captured))
    assert.deepEqual(
      calls.map(([name]) => name),
      ["cuStreamIsCapturing"],
    )
    capture.end()
    driver.memory.free(driver.memory.allocate(40 * MIB, other, never), other, mark)
  })

  test("keeps uploaded bytes for as long as the graph may run; other uploads continue", () => {
    using device = openDevice("cuda:0")
    const [shown, other] = [device.createStream(), device.createStream()]
    const [x, y] = [shown, other].map((stream) => stream.run(() => device.zeros("uint8", 8192)))
    device.synchronize()
    const handle = Number(shown.handle)
    const capture = new ForeignCapture(handle)
    shown.run(() => x?.copyFrom(new Uint8Array(8192).fill(7)))
    for (let i = 1; i <= 20; i++) other.run(() => y?.copyFrom(new Uint8Array(8192).fill(i)))
    capture.endAndRun()
    device.synchronize()
    assert.deepEqual(
      [x, y].map((array) => array?.readSync()[8191]),
      [7, 20],
    )
  })

  test("gets no memory that may still be in use, because its graph may run at any time", () => {
    using device = openDevice("cuda:0")
    const shown = device.createStream()
    const array = shown.run(() => device.empty("uint8", 64 * MIB))
    using latch = new Latch(device.driver).hold(shown.state.handle)
    shown.run(() => array.fill(1))
    const { address } = array
    array.dispose()
    const capture = new ForeignCapture(Number(shown.handle))
    assert.notEqual(shown.run(() => device.empty("uint8", 64 * MIB)).address, address)
    capture.end()
    latch.open()
    device.synchronize()
    latch.free()
  })

  test("takes no part in allocations and frees of the driver's own", () => {
    process.env["AUXSTREAM_CUDA_MEMORY"] = "driver"
    try {
      using device = openDevice("cuda:0")
      const [shown, other] = [device.createStream(), device.createStream()]
      const array = shown.run(() => device.empty("uint8", 64))
      other.wait(shown)
      other.run(() => array.fill(1))
      shown.wait(other)
      const handle = Number(shown.handle)
      const capture = new ForeignCapture(handle)
      const calls = double.log(() => {
        array.dispose()
        shown.run(() => device.empty("uint8", 64))
      })
      const memoryCalls = calls.filter(([name]) => String(name).startsWith("cuMem"))
      assert.deepEqual(
        memoryCalls.map(([name, ...args]) => [name, args.includes(handle)]),
        [
          ["cuMemFreeAsync", false],
          ["cuMemAllocFromPoolAsync", false],
        ],
      )
      capture.end()
      // Resources created inside are released after the capture.
      device.synchronize()
    } finally {
      delete process.env["AUXSTREAM_CUDA_MEMORY"]
    }
  })

  test("cannot be queried or waited for, nor can its device, and the capture stays valid", async () => {
    using device = openDevice("cuda:0")
    const shown = device.createStream()
    using event = device.createEvent()
    const capture = new ForeignCapture(Number(shown.handle))
    const words = [shown.state.name, "another library captures"] as const
    refused(() => shown.query(), "AUX_STREAM_CAPTURING", ...words)
    refused(() => shown.synchronize(), "AUX_STREAM_CAPTURING", ...words)
    await rejected(() => shown.completed(), "AUX_STREAM_CAPTURING", ...words)
    refused(() => device.synchronize(), "AUX_STREAM_CAPTURING", ...words)
    await rejected(() => device.completed(), "AUX_STREAM_CAPTURING", ...words)
    event.record(shown)
    refused(() => event.query(), "AUX_STREAM_CAPTURING", "another library")
    refused(() => event.synchronize(), "AUX_STREAM_CAPTURING", "another library")
    await rejected(() => event.completed(), "AUX_STREAM_CAPTURING", "another library")
    capture.end()
    device.synchronize()
    await device.completed()
    refused(() => event.query(), "AUX_STREAM_CAPTURING", "another library", "Record it again")
    event.record(shown).synchronize()
    assert.equal(event.query(), true)
  })

  test("makes a bounded number of queries when very many streams are destroyed", () => {
    using driver = open()
    const others = Array.from({ length: 200 }, () => driver.streams.create(0))
    const captured = Array.from({ length: 200 }, () => driver.streams.create(0))
    const gate = driver.streams.create(0)
    const event = driver.events.create(false)
    using latch = new Latch(driver).hold(gate)
    driver.events.record(event, gate)
    for (const stream of others) driver.streams.wait(stream, event)
    for (const stream of captured) driver.streams.foreignHandle(stream)
    const captures = captured.map((stream) => new ForeignCapture(stream))
    const names = ["cuStreamIsCapturing", "cuEventQuery"]
    const before = names.map((name) => double.count(name))
    for (const stream of [...others, ...captured]) driver.streams.destroy(stream)
    const asked = names.map((name, index) => double.count(name) - (before[index] ?? 0))
    assert.ok(
      asked.every((count) => count <= 400 * 8),
      String(asked),
    )
    for (const capture of captures) capture.end()
    latch.open()
  })

  test("is destroyed after the capture has ended, and does not disturb it", () => {
    using driver = open()
    const [captured, other] = [driver.streams.create(0), driver.streams.create(0)]
    const address = driver.memory.allocate(33 * MIB, captured, never)
    using latch = new Latch(driver).hold(captured)
    driver.memory.free(address, captured, mark)
    driver.streams.foreignHandle(captured)
    const capture = new ForeignCapture(captured)
    const calls = double.log(() => {
      driver.streams.destroy(captured)
      driver.memory.free(driver.memory.allocate(34 * MIB, other, never), other, mark)
    })
    const onCaptured = calls.filter(([name, ...args]) => args.includes(captured) && name !== "cuStreamIsCapturing")
    assert.deepEqual(onCaptured, [])
    capture.end()
    const before = double.alive().streams
    driver.memory.free(driver.memory.allocate(35 * MIB, other, never), other, mark)
    assert.equal(double.alive().streams, before - 1)
    latch.open()
    driver.memory.drainFrees()
    assert.equal(driver.memory.allocate(33 * MIB, other, never), address)
    driver.memory.free(address, other, mark)
  })

  test("is destroyed with its device when the capture has ended, and its context lives as long", async () => {
    const driver = open()
    const captured = driver.streams.create(0)
    driver.memory.allocate(1000, captured, never)
    const { allocations } = double.alive()
    driver.streams.foreignHandle(captured)
    const capture = new ForeignCapture(captured)
    driver.close()
    await new Promise((resolve) => setTimeout(resolve, 10))
    using again = open()
    again.memory.drainFrees() // The closed device's memory cannot be freed yet, and this does not wait for it.
    const now = double.alive()
    assert.deepEqual([now.contexts, now.allocations, now.streams], [1, allocations, 1])
    capture.end()
  })

  test("cannot be disposed of; one that was collected is destroyed later", () => {
    using device = openDevice("cuda:0")
    const stream = device.createStream()
    const capture = new ForeignCapture(Number(stream.handle))
    refused(() => stream.dispose(), "AUX_STREAM_CAPTURING", "another library captures")
    assert.equal(stream.disposed, false)
    device.order.disposeStream(stream.state)
    assert.equal(stream.disposed, false)
    capture.end()
    device.empty("uint8", 1).dispose()
    assert.equal(stream.disposed, true)
  })

  test("does not show the end of its earlier work, whose pinned memory is kept until then", () => {
    using device = openDevice("cuda:0")
    const used = device.createStream()
    using latch = new Latch(device.driver).hold(used.state.handle)
    const tick = used.state.advance(undefined)
    let given = false
    const capture = new ForeignCapture(Number(used.handle))
    device.order.deferredReleases.add([{ stream: used.state, tick }], () => (given = true))
    device.order.deferredReleases.sweep()
    assert.equal(given, false)
    capture.end()
    device.empty("uint8", 1).dispose()
    device.order.deferredReleases.sweep()
    assert.equal(given, false)
    double.fail("cuEventQuery", 1, 999)
    device.order.deferredReleases.sweep()
    assert.equal(double.failuresLeft(), 0)
    assert.equal(given, false)
    latch.open()
    device.driver.streams.synchronize(used.state.handle) // Without the runtime's knowledge.
    device.order.deferredReleases.sweep()
    assert.equal(given, true)
    latch.free()
  })

  test("makes a stream without a shared handle enter by a wait, and the same holds there", () => {
    using device = openDevice("cuda:0")
    const [shown, brought] = [device.createStream(), device.createStream()]
    using latch = new Latch(device.driver).hold(brought.state.handle)
    const array = brought.run(() => device.empty("uint8", 64 * MIB).fill(1))
    const capture = new ForeignCapture(Number(shown.handle))
    brought.wait(shown)
    const { address } = array
    array.dispose()
    refused(() => brought.dispose(), "AUX_STREAM_CAPTURING", "another library captures")
    shown.wait(brought)
    capture.end()
    const taken = shown.run(() => [1, 2].map(() => device.empty("uint8", 64 * MIB)))
    assert.ok(taken.every((one) => one.address !== address))
    assert.equal(latch.timedOut, false)
    latch.open()
    device.synchronize()
    latch.free()
  })
})

onDouble("a destroyed stream whose end cannot be queried at first", () => {
  test("does not fail an allocation elsewhere, and is reported later", async () => {
    using driver = open()
    const [first, second, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    const address = driver.memory.allocate(33 * MIB, first, never)
    const rest = driver.memory.allocate(40 * MIB, second, never)
    using latch = new Latch(driver).hold(first)
    driver.memory.free(address, first, mark)
    driver.memory.free(rest, second, mark)
    driver.streams.destroy(first)
    driver.streams.destroy(second)
    double.fail("cuEventQuery", 1, 999)
    driver.memory.free(driver.memory.allocate(41 * MIB, other, never), other, mark)
    assert.equal(double.failuresLeft(), 0)
    latch.open()
    driver.memory.drainFrees()
    assert.equal(driver.memory.allocate(33 * MIB, other, never), address)
    driver.memory.free(address, other, mark)
    assert.deepEqual(await takeWarnings(), [])
  })

  test("is destroyed together with the next ones, even without an allocation", () => {
    using driver = open()
    const before = double.alive().streams
    for (let count = 0; count < 20; count++) {
      const stream = driver.streams.create(0)
      double.fail("cuEventRecord", 1, unknown)
      driver.streams.destroy(stream)
    }
    assert.equal(double.failuresLeft(), 0)
    for (let count = 0; count < 20; count++) driver.streams.destroy(driver.streams.create(0))
    assert.equal(double.alive().streams, before)
  })
})

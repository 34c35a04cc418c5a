/** §4, §6: work, streams, events and memory of another library in the same process. */
import assert from "node:assert/strict"
import { before, describe, test } from "node:test"
import { setTimeout } from "node:timers/promises"
import { cudaBackend } from "../../src/cuda/backend.js"
import { currentStream, type Device, maybeExecuteInParallel, openDevice } from "../../src/index.js"
import { Device as DeviceClass } from "../../src/runtime/device/device.js"
import { refused, rejected } from "../support/errors.js"
import * as kernels from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { type CudaRuntime, findRuntime } from "./cuda-runtime.js"

const { affine, over } = kernels
const found = await findRuntime()
const skip = "missing" in found ? found.missing : false
// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

const count = 1000
const bytes = count * 4

/** An int32 after a memset of every byte to 1. */
const ones = 0x01010101

/** CUDA loads no kernel while a latch is closed, so the tests' kernels are loaded before. */
function open(): Device {
  const device = openDevice("cuda:0")
  for (const kernel of [kernels.latch, affine, kernels.spin]) kernel.load(device)
  return device
}

/** Calls a function with a stream of the runtime, which destroys it afterwards. */
function withStream(runtime: CudaRuntime, use: (handle: bigint) => void): void {
  const handle = runtime.streamCreate()
  try {
    use(handle)
  } finally {
    runtime.streamDestroy(handle)
  }
}

function all(value: number): Int32Array {
  return new Int32Array(count).fill(value)
}

describe(`beside ${"name" in found ? found.name : "the CUDA runtime"}`, { skip }, () => {
  let runtime: CudaRuntime

  before(() => {
    if ("missing" in found) return
    runtime = found.open()
    // The runtime's first calls load code, so these come before any stream is held.
    const memory = runtime.malloc(2 * bytes)
    withStream(runtime, (stream) => {
      runtime.memsetAsync(memory, 0, bytes, stream)
      runtime.memcpyAsync(memory + bytes, memory, bytes, stream)
      runtime.streamSynchronize(stream)
    })
    runtime.free(memory)
  })

  test("§4 external: its work runs between ours on one stream", () => {
    using device = open()
    using x = device.full("int32", count, 1)
    using y = device.zeros("int32", count)
    device.synchronize()
    using latch = new Latch(device)
    const stream = device.defaultStream
    latch.hold(stream)
    affine.launch(over(count), count, x, 10, 1)
    stream.external({ reads: [x], writes: [y] }, (handle) => runtime.memcpyAsync(y.address, x.address, bytes, handle))
    affine.launch(over(count), count, y, 10, 2)
    stream.external({ writes: [x] }, (handle) => {
      runtime.memsetAsync(x.address, 1, bytes, handle)
      assert.equal(runtime.streamQuery(handle), false)
    })
    assert.ok(isHeld(stream))
    latch.open()
    assert.deepEqual(y.readSync(), all(112))
    assert.deepEqual(x.readSync(), all(ones))
    assert.equal(latch.timedOut, false)
  })

  test("§6 external: arrays that it names may be disposed of at once, while their copy is queued", () => {
    using device = open()
    using stream = device.createStream()
    using seen = device.zeros("int32", count)
    const x = device.full("int32", count, 7)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    const { address } = x
    stream.external({ reads: [x], writes: [seen] }, (handle) =>
      runtime.memcpyAsync(seen.address, address, bytes, handle),
    )
    x.dispose()
    // If the memory were free, this array would take it, and the copy would read -1.
    const others = Array.from({ length: 10 }, () => device.full("int32", count, -1))
    device.defaultStream.synchronize()
    assert.ok(others.every((other) => other.address !== address))
    assert.equal(stream.query(), false)
    latch.open()
    assert.deepEqual(
      stream.run(() => seen.readSync()),
      all(7),
    )
    for (const other of others) other.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§5 rule 6: its work in a branch of a fork-join is joined, and its arrays may be disposed of at once", () => {
    using device = open()
    using aux = device.createStream()
    using result = device.zeros("int32", count)
    const [event0, event1] = [device.createEvent(), device.createEvent()]
    for (let layer = 0; layer < 200; layer++) {
      const x = device.full("int32", count, layer)
      const [, copy] = maybeExecuteInParallel(
        () => affine.launch(over(count), count, result, 1, 1),
        () => {
          const copy = device.empty("int32", count)
          currentStream().external({ reads: [x], writes: [copy] }, (handle) =>
            runtime.memcpyAsync(copy.address, x.address, bytes, handle),
          )
          return copy
        },
        event0,
        event1,
        aux,
      )
      x.dispose()
      if (layer % 20 === 0) assert.deepEqual(copy.readSync(), all(layer))
      copy.dispose()
    }
    assert.deepEqual(result.readSync(), all(200))
    device.synchronize()
    assert.ok(device.memory.peak < 100 * bytes, `${device.memory.peak} bytes at most`)
  })

  test("§4 wrap: its memory is used in place, and auxstream never frees it", () => {
    const address = runtime.malloc(bytes)
    const copy = runtime.malloc(bytes)
    withStream(runtime, (stream) => {
      {
        using device = open()
        const { used } = device.memory
        runtime.memsetAsync(address, 1, bytes, stream)
        runtime.streamSynchronize(stream)
        const wrapped = device.wrap(address, "int32", count)
        assert.equal(device.memory.used, used)
        affine.launch(over(count), count, wrapped, 2, 5)
        wrapped.subarray(0, 1).fill(9)
        const expected = all(ones * 2 + 5)
        expected[0] = 9
        assert.deepEqual(wrapped.readSync(), expected)
        using ours = device.from(all(3))
        wrapped.copyFrom(ours)
        device.synchronize()
        wrapped.dispose()
      }
      runtime.memcpyAsync(copy, address, bytes, stream)
      runtime.streamSynchronize(stream)
      using device = open()
      assert.deepEqual(device.wrap(copy, "int32", count).readSync(), all(3))
    })
    // The owner frees it once, and successfully.
    runtime.free(address)
    runtime.free(copy)
  })

  test("§4 streamFromHandle: one Stream for each handle, ordered with ours both ways", () => {
    withStream(runtime, (handle) => {
      using device = open()
      const foreign = device.streamFromHandle(handle)
      assert.equal(device.streamFromHandle(handle), foreign)
      assert.equal(foreign.handle, handle)
      using ours = device.createStream()
      using x = device.zeros("int32", count)
      using y = device.zeros("int32", count)
      device.synchronize()

      using first = new Latch(device).hold(foreign)
      runtime.memsetAsync(x.address, 1, bytes, handle)
      ours.wait(foreign)
      ours.run(() => affine.launch(over(count), count, x, 1, 1))
      assert.ok(isHeld(ours))
      first.open()
      assert.deepEqual(
        ours.run(() => x.readSync()),
        all(ones + 1),
      )

      using second = new Latch(device).hold(ours)
      ours.run(() => affine.launch(over(count), count, x, 0, 8))
      foreign.wait(ours)
      runtime.memcpyAsync(y.address, x.address, bytes, handle)
      assert.ok(isHeld(foreign))
      assert.equal(runtime.streamQuery(handle), false)
      second.open()
      runtime.streamSynchronize(handle)
      assert.deepEqual(y.readSync(), all(8))
      assert.deepEqual([first.timedOut, second.timedOut], [false, false])
    })
  })

  test("§4 streamFromHandle: a repeated wait is sent again, because its owner may queue more work", () => {
    withStream(runtime, (handle) => {
      using device = open()
      const foreign = device.streamFromHandle(handle)
      using ours = device.createStream()
      using holding = device.createStream()
      using x = device.zeros("int32", count)
      device.synchronize()
      ours.wait(foreign)
      const event = runtime.eventCreate()
      using latch = new Latch(device).hold(holding)
      runtime.eventRecord(event, holding.handle)
      runtime.streamWaitEvent(handle, event)
      runtime.memsetAsync(x.address, 1, bytes, handle)
      ours.wait(foreign)
      assert.ok(isHeld(ours))
      latch.open()
      assert.deepEqual(
        ours.run(() => x.readSync()),
        all(ones),
      )
      runtime.eventDestroy(event)
      assert.equal(latch.timedOut, false)
    })
  })

  test("§4 streamFromHandle: auxstream never destroys its streams, and frees nothing on them", () => {
    withStream(runtime, (handle) => {
      {
        using device = open()
        const foreign = device.streamFromHandle(handle)
        foreign.run(() => device.full("int32", count, 1).dispose())
        foreign.dispose()
        const again = device.streamFromHandle(handle)
        assert.notEqual(again, foreign)
        again.synchronize()
      }
      {
        using device = open()
        device.streamFromHandle(handle)
      }
      const memory = runtime.malloc(bytes)
      runtime.memsetAsync(memory, 1, bytes, handle)
      runtime.streamSynchronize(handle)
      runtime.free(memory)
    })
  })

  test("§4 streamFromHandle: CUDA's default streams are refused", () => {
    using device = open()
    for (const handle of [0n, 1n, 2n]) {
      refused(() => device.streamFromHandle(handle), "AUX_INVALID_ARGUMENT", String(handle), "default streams")
    }
  })

  test("§4 handle: it queues on our stream, and other streams wait for that", () => {
    using device = open()
    using shared = device.createStream()
    using user = device.createStream()
    using x = device.zeros("int32", count)
    device.synchronize()
    const { handle } = shared
    user.wait(shared)
    using latch = new Latch(device).hold(shared)
    runtime.memsetAsync(x.address, 1, bytes, handle)
    user.wait(shared)
    user.run(() => affine.launch(over(count), count, x, 1, 1))
    assert.ok(isHeld(user))
    latch.open()
    assert.deepEqual(
      user.run(() => x.readSync()),
      all(ones + 1),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§4 handle: our streams wait for an event that it records", async () => {
    const handle = runtime.streamCreate()
    {
      using device = open()
      const foreign = device.streamFromHandle(handle)
      using user = device.createStream()
      using event = device.createEvent()
      using x = device.zeros("int32", count)
      device.synchronize()
      using latch = new Latch(device).hold(foreign)
      runtime.memsetAsync(x.address, 1, bytes, handle)
      runtime.eventRecord(event.handle, handle)
      event.wait(user)
      user.run(() => affine.launch(over(count), count, x, 1, 1))
      const completed = event.completed()
      assert.ok(isHeld(user))
      assert.equal(event.query(), false)
      latch.open()
      await completed
      assert.equal(event.query(), true)
      assert.deepEqual(
        user.run(() => x.readSync()),
        all(ones + 1),
      )
      assert.equal(latch.timedOut, false)
    }
    runtime.streamDestroy(handle)
  })

  test("§4 handle: it waits for an event that we record", () => {
    withStream(runtime, (handle) => {
      using device = open()
      using x = device.zeros("int32", count)
      using y = device.zeros("int32", count)
      device.synchronize()
      using latch = new Latch(device).hold()
      affine.launch(over(count), count, x, 1, 6)
      using event = device.createEvent().record()
      runtime.streamWaitEvent(handle, event.handle)
      runtime.memcpyAsync(y.address, x.address, bytes, handle)
      assert.ok(isHeld(event))
      assert.equal(runtime.streamQuery(handle), false)
      latch.open()
      runtime.streamSynchronize(handle)
      assert.deepEqual(y.readSync(), all(6))
      assert.equal(latch.timedOut, false)
    })
  })

  test("§6 its capture of our stream: memory in use is kept, and nothing invalidates the capture", () => {
    using device = open()
    const [used, other] = [device.createStream(), device.createStream()]
    using brought = device.createStream()
    const [x, y] = [used.run(() => device.full("int32", count, 1)), brought.run(() => device.full("int32", count, 1))]
    using latch = new Latch(device).hold(used)
    latch.hold(brought)
    affine.launch({ ...over(count), stream: used }, count, x, 10, 1)
    affine.launch({ ...over(count), stream: brought }, count, y, 10, 1)
    const [taken, handle] = [[x.address, y.address], used.handle]
    runtime.streamBeginCapture(handle)
    runtime.memsetAsync(x.address, 1, bytes, handle)
    brought.wait(used)
    for (const array of [x, y]) array.dispose()
    for (const stream of [used, brought]) {
      refused(() => stream.dispose(), "AUX_STREAM_CAPTURING", "another library captures")
    }
    used.wait(brought)
    const others = other.run(() => Array.from({ length: 10 }, () => device.full("int32", count, -1)))
    other.synchronize()
    runtime.streamEndCapture(handle)
    used.dispose()
    others.push(...other.run(() => Array.from({ length: 10 }, () => device.full("int32", count, -1))))
    assert.ok(others.every(({ address }) => !taken.includes(address)))
    latch.open()
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§6 its capture of our stream: work that we queue there is in its graph, and queries are refused", async () => {
    using device = open()
    using used = device.createStream()
    using other = device.createStream()
    using event = device.createEvent()
    using x = used.run(() => device.full("int32", count, 1))
    using y = used.run(() => device.full("int32", count, 0))
    device.synchronize()
    const { handle } = used
    runtime.streamBeginCapture(handle)
    const made = used.run(() => {
      y.copyFrom(all(3))
      affine.launch(over(count), count, x, 2, 0)
      return device.full("int32", count, 5)
    })
    event.record(used)
    for (const look of [() => used.query(), () => used.synchronize(), () => device.synchronize()]) {
      refused(look, "AUX_STREAM_CAPTURING", "another library captures")
    }
    for (const look of [() => event.query(), () => event.synchronize()]) {
      refused(look, "AUX_STREAM_CAPTURING", "another library was capturing")
    }
    for (const look of [() => used.completed(), () => device.completed(), () => event.completed()]) {
      await rejected(look, "AUX_STREAM_CAPTURING", "another library")
    }
    // Uploads elsewhere go on, and reuse no pages that the graph copies from.
    const others = Array.from({ length: 20 }, (_, value) => other.run(() => device.from(all(value))))
    runtime.streamEndCapture(handle, 3)
    assert.deepEqual(x.readSync(), all(8))
    assert.deepEqual(y.readSync(), all(3))
    assert.deepEqual(made.readSync(), all(5))
    others.forEach((array, value) => assert.deepEqual(array.readSync(), all(value)))
  })

  test("§6 its capture of our stream: a fork-join in it does not order earlier work", () => {
    using device = open()
    const length = 2 ** 20
    using used = device.createStream()
    using brought = device.createStream()
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    using z = used.run(() => device.zeros("int32", count))
    const x = brought.run(() => device.zeros("int32", length))
    device.synchronize()
    using latch = new Latch(device).hold(used)
    affine.launch({ ...over(length), stream: used }, length, x, 1, 1)
    runtime.streamBeginCapture(used.handle)
    used.run(() => {
      maybeExecuteInParallel(
        () => affine.launch(over(count), count, z, 2, 1),
        () => {},
        event0,
        event1,
        brought,
      )
      affine.launch(over(count), count, z, 2, 1)
    })
    runtime.streamEndCapture(used.handle)
    x.dispose()
    const fresh = brought.run(() => device.full("int32", length, 2))
    // The wait is queued, because its event is held.
    affine.launch({ ...over(count), stream: used }, count, z, 1, 7)
    aux.wait(used)
    assert.ok(isHeld(aux))
    latch.open()
    used.synchronize()
    assert.ok(brought.run(() => fresh.readSync()).every((value) => value === 2))
    assert.deepEqual(
      aux.run(() => z.readSync()),
      all(7),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§8 its capture of our stream: an event recorded in it cannot be waited for afterwards, and the error says so", () => {
    using device = open()
    using used = device.createStream()
    using other = device.createStream()
    using event = device.createEvent()
    runtime.streamBeginCapture(used.handle)
    event.record(used)
    runtime.streamEndCapture(used.handle)
    refused(() => event.wait(other), "AUX_STREAM_CAPTURING", "Record it again after the capture has ended")
    event.record(used).wait(other)
    other.synchronize()
  })

  test("§8 dispose: a device waits for the end of its capture of a stream", async () => {
    const closed = new DeviceClass("cuda:99", cudaBackend.open(0, {}), () => {})
    const { handle } = closed.createStream()
    runtime.streamBeginCapture(handle)
    closed.dispose()
    // More time than closing would need if it did not wait.
    for (let turn = 0; turn < 100; turn++) await setTimeout(1)
    runtime.streamEndCapture(handle)
  })

  test("§7 completed: waits for its work on our stream", async () => {
    using device = open()
    using x = device.full("int32", count, 4)
    using pinned = device.pinned("int32", count)
    using latch = new Latch(device).hold()
    device.defaultStream.external({ writes: [x] }, (handle) => runtime.memsetAsync(x.address, 1, bytes, handle))
    pinned.copyFrom(x)
    const completed = device.defaultStream.completed()
    assert.deepEqual(pinned.array, all(0))
    latch.open()
    await completed
    assert.deepEqual(pinned.array, all(ones))
    assert.equal(latch.timedOut, false)
  })

  test("§7 completed: an event's promise does not wait for its later work", async () => {
    using device = open()
    using holding = device.createStream()
    const theirEvent = runtime.eventCreate()
    for (const queue of ["external", "handle"] as const) {
      using stream = device.createStream()
      const known = queue === "handle" ? stream.handle : undefined
      using before = new Latch(device).hold(stream)
      using behind = new Latch(device).hold(holding)
      runtime.eventRecord(theirEvent, holding.handle)
      using event = device.createEvent().record(stream)
      if (known === undefined) stream.external({}, (handle) => runtime.streamWaitEvent(handle, theirEvent))
      else runtime.streamWaitEvent(known, theirEvent)
      const completed = event.completed()
      before.open()
      await completed
      assert.equal(behind.timedOut, false, queue)
      assert.equal(stream.query(), false)
      behind.open()
      stream.synchronize()
      assert.equal(before.timedOut, false)
    }
    runtime.eventDestroy(theirEvent)
  })

  for (const state of ["open", "disposed of"]) {
    test(`§8 dispose: memory that its stream reads outlives the device, with the Stream ${state}`, async () => {
      using device = open()
      const seen = runtime.malloc(bytes)
      const handle = runtime.streamCreate()
      const event = runtime.eventCreate()
      using latch = new Latch(device).hold()
      runtime.eventRecord(event, device.defaultStream.handle)
      runtime.streamWaitEvent(handle, event)

      // On the same GPU, because openDevice would return the same device.
      const closed = new DeviceClass("cuda:99", cudaBackend.open(0, {}), () => {})
      const foreign = closed.streamFromHandle(handle)
      const x = closed.full("int32", count, 5)
      foreign.external({ reads: [x] }, () => runtime.memcpyAsync(seen, x.address, bytes, handle))
      if (state === "disposed of") foreign.dispose()
      closed.dispose()
      // More time than closing would need if it did not wait.
      for (let turn = 0; turn < 100; turn++) await setTimeout(1)
      assert.equal(runtime.streamQuery(handle), false)
      latch.open()
      runtime.streamSynchronize(handle)
      assert.deepEqual(device.wrap(seen, "int32", count).readSync(), all(5))
      assert.equal(latch.timedOut, false)
      runtime.eventDestroy(event)
      runtime.streamDestroy(handle)
      runtime.free(seen)
    })
  }
})

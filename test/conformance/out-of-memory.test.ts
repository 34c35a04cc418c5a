import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, currentStream, type Device, type DeviceArray, OutOfMemoryError } from "../../src/index.js"
import { forEachDevice, onHost } from "../support/devices.js"
import { affine, latch, once, over, prepare } from "../support/kernels.js"

const chunk = 2 ** 29

/** Takes all memory, in large arrays whose pages are never touched. */
function takeAll(device: Device): DeviceArray<"uint8">[] {
  const taken: DeviceArray<"uint8">[] = []
  // The driver sometimes allocates a little for itself. Without a reserve, freed memory could no longer be allocated.
  using slack = device.empty("uint8", device.kind === "cuda" ? 2 ** 27 : 0)
  assert.ok(slack)
  for (let length = chunk; length >= 2 ** 20; length /= 2) {
    try {
      while (taken.length < 4000) taken.push(device.empty("uint8", length))
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
    }
  }
  return taken
}

/** Holds a stream for a while, so that memory freed on it is not free yet. The latch opens by its time limit. */
function holdForAWhile(device: Device): void {
  latch.launch(once, device.pinned("int32", 3), 300)
}

forEachDevice("out of memory", (open) => {
  test("§6 running out of memory: an allocation that fails makes nothing, and the device still works", async () => {
    using device = open()
    await prepare(device)
    const before = device.memory.used
    for (const length of [2 ** 43, 2 ** 49]) {
      assert.throws(
        () => device.empty("uint8", length),
        (error) => error instanceof OutOfMemoryError && error.message.includes(String(length)),
      )
      assert.throws(() => device.zeros("uint8", length), OutOfMemoryError)
      assert.throws(() => device.pinned("uint8", length), OutOfMemoryError)
    }
    assert.equal(device.memory.used, before)
    const taken = takeAll(device)
    assert.throws(() => device.empty("uint8", chunk), { code: "AUX_OUT_OF_MEMORY" })
    for (const array of taken) array.dispose()
    device.synchronize()
    assert.equal(device.memory.used, before)
    using x = device.full("int32", 1000, 4)
    affine.launch(over(1000), 1000, x, 2, 1)
    assert.deepEqual(x.readSync(), new Int32Array(1000).fill(9))
  })

  test("§6 running out of memory: the library first waits for pending frees, on whatever stream", async () => {
    using device = open()
    await prepare(device)
    using stream = device.createStream()
    using other = device.createStream()
    const taken = takeAll(device)
    const last = taken.shift()
    assert.ok(last)
    // Used on two unordered streams, so neither frees the memory.
    stream.run(() => holdForAWhile(device))
    other.run(() => holdForAWhile(device))
    stream.run(() => last.subarray(0, 16).fill(1))
    other.run(() => last.subarray(16, 32).fill(2))
    last.dispose()
    using again = device.empty("uint8", chunk)
    assert.equal(again.length, chunk)
    again.subarray(0, 32).fill(7)
    assert.deepEqual(again.subarray(0, 32).readSync(), new Uint8Array(32).fill(7))
    for (const array of taken) array.dispose()
  })

  test("§6 running out of memory: pinned memory, uploads and reads wait for pending frees, too", async () => {
    using device = open()
    await prepare(device)
    const taken = takeAll(device)
    const kept = taken.pop()
    assert.ok(kept)
    const { length } = kept
    const data = new Uint8Array(length).fill(7)
    const needs: (() => unknown)[] = [
      () => device.pinned("uint8", length),
      () => kept.copyFrom(data),
      () => assert.deepEqual(kept.readSync(), data),
      async () => assert.deepEqual(await kept.read(), data),
      () => captureGraph(() => kept.copyFrom(data), { device }),
    ]
    for (const need of needs) {
      const last = taken.shift()
      assert.ok(last)
      holdForAWhile(device)
      last.dispose()
      await need()
      taken.push(...takeAll(device))
    }
    for (const array of taken) array.dispose()
  })

  test("§6 running out of memory: the library waits for frees of streams that have entered a capture since", async () => {
    using device = open()
    await prepare(device)
    using stream = device.createStream()
    const taken = takeAll(device)
    const last = taken.shift()
    assert.ok(last)
    stream.run(() => holdForAWhile(device))
    stream.wait(device.defaultStream)
    stream.run(() => last.subarray(0, 16).fill(1))
    last.dispose()
    const graph = captureGraph(
      () => {
        stream.wait(currentStream(device))
        const inside = device.empty("uint8", chunk)
        inside.subarray(0, 16).fill(7)
        currentStream(device).wait(stream)
        return inside.subarray(0, 16)
      },
      { device },
    )
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Uint8Array(16).fill(7))
    graph.dispose()
    for (const array of taken) array.dispose()
  })

  test("§6 running out of memory: a loop may allocate and drop more than the device has", async () => {
    using device = open()
    await prepare(device)
    using aux = device.createStream()
    const taken = takeAll(device)
    taken.shift()?.dispose()
    const sum = taken[0]?.subarray(0, 8)
    assert.ok(sum)
    for (let round = 0; round < 20; round++) {
      const x = device.empty("uint8", chunk)
      const head = x.subarray(0, 8).fill(round)
      aux.wait(device.defaultStream)
      aux.run(() => sum.copyFrom(head))
      x.dispose()
    }
    assert.deepEqual(
      aux.run(() => sum.readSync()),
      new Uint8Array(8).fill(19),
    )
    for (const array of taken) array.dispose()
  })
})

onHost("out of memory", (open) => {
  test("§6 running out of memory: the library waits for pinned memory that queued work still uses", async () => {
    using device = open()
    await prepare(device)
    const data = new Uint8Array(2 ** 22).fill(3)
    using x = device.empty("uint8", data.length)
    const graph = captureGraph(() => x.copyFrom(data), { device })
    device.synchronize()
    const taken = takeAll(device)
    holdForAWhile(device)
    graph.launch()
    graph.dispose()
    using again = device.empty("uint8", data.length)
    assert.equal(again.length, data.length)
    assert.equal(x.subarray(0, 1).readSync()[0], 3)
    for (const array of taken) array.dispose()
  })
})

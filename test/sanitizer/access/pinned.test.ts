import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, type Device, type PinnedArray, startSanitizer } from "../../../src/index.js"
import { affine, combine, once } from "../../support/kernels.js"
import { Latch } from "../../support/latch.js"
import { openHost, Seen } from "./seen.js"

/** A pinned array with these elements. */
function pinnedOf(device: Device, ...elements: number[]): PinnedArray<"int32"> {
  const pinned = device.pinned("int32", elements.length)
  pinned.array.set(elements)
  return pinned
}

/** Loads the kernels, so that the latch opens for nothing else. */
async function openReady(): Promise<Device> {
  const device = openHost()
  await Promise.all([affine, combine].map((kernel) => kernel.prepare(device)))
  return device
}

test("§13 the source of a copy that JavaScript changes before the stream gets there is reported with its bytes", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2, 3, 4)
  using x = device.zeros("int32", 4)
  {
    using latch = new Latch(device).hold()
    x.copyFrom(pinned)
    pinned.array[2] = 30
    latch.open()
    assert.deepEqual(await seen.on(device), ["copy() changed 8..9"])
  }
  x.copyFrom(pinned)
  await device.completed()
  pinned.array[2] = 31
  assert.deepEqual(await seen.on(device), [], "the stream was done")
})

test("§13 a change while the operation runs is reported, too", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2, 3, 4)
  using x = device.zeros("int32", 4)
  using y = device.zeros("int32", 4)
  using latch = new Latch(device)
  using graph = captureGraph(
    () => {
      x.copyFrom(pinned)
      latch.hold()
      y.copyFrom(pinned)
    },
    { device },
  )
  graph.launch()
  latch.waitUntilEntered()
  pinned.array[3] = 5
  latch.open()
  assert.deepEqual(await seen.on(device), ["graph() changed 12..13"])
})

test("§13 an argument of a kernel is named, and counts from where it begins", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2, 3, 4)
  using y = device.zeros("int32", 4)
  using latch = new Latch(device).hold()
  combine.launch(once, 4, pinned, y)
  pinned.array[1] = 0x200
  latch.open()
  assert.deepEqual(await seen.on(device), ["test_combine(1) changed 4..6"])
})

test("§13 of a copy in rows, the bytes between the rows may change", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2, 3, 4, 5, 6)
  using x = device.zeros("int32", 6)
  const rows = { width: 2, height: 2, pitch: 3, sourcePitch: 3 }
  {
    using latch = new Latch(device).hold()
    x.copyFrom2D(pinned, rows)
    pinned.array[2] = 100
    pinned.array[5] = 100
    latch.open()
    assert.deepEqual(await seen.on(device), [])
  }
  using latch = new Latch(device).hold()
  x.copyFrom2D(pinned, rows)
  pinned.array[4] = 100
  latch.open()
  assert.deepEqual(await seen.on(device), ["copy() changed 16..17"])
})

test("§13 what queued work itself writes is no change: of this stream, of another one, of a graph, of the operation", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2, 3, 4)
  using x = device.full("int32", 4, 5)
  using y = device.zeros("int32", 4)
  using other = device.createStream()
  device.synchronize()
  {
    using latch = new Latch(device).hold()
    pinned.copyFrom(x)
    y.copyFrom(pinned)
    other.wait(device.defaultStream)
    other.run(() => affine.launch(once, 4, pinned, 3, 1))
    other.run(() => y.copyFrom(pinned))
    device.defaultStream.wait(other)
    latch.open()
  }
  using graph = captureGraph(
    () => {
      y.copyFrom(pinned)
      pinned.copyFrom(x)
      y.copyFrom(pinned)
    },
    { device },
  )
  graph.launch()
  combine.launch(once, 4, pinned, pinned)
  assert.deepEqual(await seen.on(device), [])
  assert.deepEqual([...pinned.array], [20, 20, 20, 20])
})

test("memory that a kernel also writes may change: it may talk to JavaScript through it", async () => {
  using seen = new Seen({ pinned: true })
  using device = await openReady()
  using latch = new Latch(device).hold()
  latch.open()
  assert.deepEqual(await seen.on(device), [])
})

test("§13 by default the stream breaks: a copy that would read changed memory is skipped", async () => {
  using sanitizer = startSanitizer({ races: false, pinned: true })
  using device = await openReady()
  using pinned = pinnedOf(device, 1, 2)
  using x = device.zeros("int32", 2)
  device.synchronize()
  using latch = new Latch(device).hold()
  x.copyFrom(pinned)
  pinned.array[0] = 3
  latch.open()
  const text =
    /^Pinned memory changed while a queued operation still had to read it: bytes 0 to 0 of the source of a copy on the default stream of host.*pinned\.test/s
  assert.throws(() => device.synchronize(), { code: "AUX_ACCESS_VIOLATION", kind: "changed", message: text })
  assert.throws(() => x.readSync(), { code: "AUX_ACCESS_VIOLATION" })
  sanitizer.stop()
})

test("copies of pinned memory are freed, also if another check refuses the operation", async () => {
  using device = await openReady()
  using pinned = device.pinned("int32", 1 << 16)
  using x = device.zeros("int32", 1 << 16)
  using seen = new Seen({ pinned: true })
  using races = startSanitizer({
    onRace: () => {
      throw new Error("refused")
    },
  })
  using other = device.createStream()
  const copy = () => {
    x.copyFrom(pinned)
    assert.throws(() => other.run(() => x.copyFrom(pinned)), /refused/)
    device.synchronize()
  }
  for (let count = 0; count < 10; count++) copy()
  const { reserved } = device.memory
  for (let count = 0; count < 60; count++) copy()
  assert.ok(device.memory.reserved - reserved < 10 * x.byteLength, "much less than 120 copies")
  races.stop()
  assert.deepEqual(await seen.on(device), [])
})

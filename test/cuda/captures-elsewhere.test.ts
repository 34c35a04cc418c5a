/** Another library captures its own stream on its own thread: we do not invalidate that, and it does not restrict us. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, defineKernel, type Device, openDevice } from "../../src/index.js"
import { kernel, Latch, mark, never, onDouble, open, sourceOf } from "./device.js"
import { double } from "./double.js"

const [globalMode, threadLocalMode, relaxedMode] = [0, 1, 2]

/** A kernel that has not been loaded. */
const fresh = () => defineKernel({ name: "test_noop", signature: [], cuda: { source: sourceOf("test_noop", []) } })

/** The operations of a program, each with its setup. */
const operations: [string, (device: Device) => unknown][] = [
  ["launch", (device) => fresh().launch({ grid: 1, block: 1, stream: device.defaultStream })],
  [
    "record and wait",
    (device) => {
      using stream = device.createStream()
      device.createEvent().record(device.defaultStream).wait(stream)
    },
  ],
  ["Event.query", (device) => device.createEvent().record(device.defaultStream).query()],
  ["Event.synchronize", (device) => device.createEvent().record(device.defaultStream).synchronize()],
  ["Event.completed", (device) => device.createEvent().record(device.defaultStream).completed()],
  ["Stream.query", (device) => device.defaultStream.query()],
  ["Stream.synchronize", (device) => device.defaultStream.synchronize()],
  ["Stream.completed", (device) => device.defaultStream.completed()],
  ["Stream.dispose", (device) => device.createStream().dispose()],
  ["Device.synchronize", (device) => device.synchronize()],
  ["empty, and dispose", (device) => device.empty("uint8", 40 * 2 ** 20).dispose()],
  ["pinned memory", (device) => device.driver.memory.freePinned(device.driver.memory.allocatePinned(2 ** 20).address)],
  ["from", (device) => device.from(new Uint8Array(2 ** 20)).dispose()],
  ["readSync", (device) => device.scope(() => void device.zeros("int32", 10).readSync())],
  ["read", (device) => device.scope(() => device.zeros("int32", 10).read())],
  ["Kernel.prepare", (device) => fresh().prepare(device)],
  [
    "captureGraph, launch and dispose",
    (device) => {
      const graph = captureGraph(() => device.zeros("int32", 10).fill(2), { device })
      graph.launch(device.defaultStream)
      device.synchronize()
      graph.dispose()
    },
  ],
  ["open and dispose", () => openDevice("cuda:0").dispose()],
]

onDouble("while another library captures on another thread", () => {
  for (const [mode, name] of [
    [globalMode, "global"],
    [threadLocalMode, "thread-local"],
    [relaxedMode, "relaxed"],
  ] as const) {
    test(`everything works, and nothing invalidates that capture: in ${name} mode`, async () => {
      using driver = open()
      using device = openDevice("cuda:0")
      const beside = driver.streams.create(0)
      for (const [operation, run] of operations) {
        double.captureElsewhere(beside, mode)
        try {
          await run(device)
        } finally {
          assert.equal(double.endCaptureElsewhere(), 0, `${operation} invalidated it`)
        }
      }
    })
  }

  test("a promise that waits long, a kernel that loads late and the end of a device do not invalidate it", async () => {
    using keeper = open()
    const driver = open()
    const [stream, beside] = [driver.streams.create(0), keeper.streams.create(0)]
    using latch = new Latch(keeper).hold(beside)
    driver.memory.allocate(1000, stream, never)
    const event = driver.events.create(false)
    double.captureElsewhere(beside, globalMode)
    driver.events.record(event, stream)
    const completed = new Promise<void>((resolve) => driver.events.whenComplete(event, () => resolve()))
    const prepared = driver.kernels.prepare(kernel("test_noop", []))
    latch.open()
    await Promise.all([completed, prepared])
    driver.memory.free(driver.memory.allocate(1000, stream, never), stream, mark)
    driver.close()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(double.endCaptureElsewhere(), 0)
  })
})

/**
 * Records and waits inside another library's capture are edges of its graph. They order neither earlier nor later work of our
 * streams.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Device, type DeviceArray, fork, openDevice, type Stream } from "../../src/index.js"
import { withEnvironment } from "../support/environment.js"
import { refused } from "../support/errors.js"
import { Latch, onDouble } from "./device.js"
import { double } from "./double.js"
import { ForeignCapture } from "./foreign-capture.js"

const MIB = 2 ** 20

/** Brings a stream into the capture of another one, and joins it back. */
const viaStreams = (shown: Stream, brought: Stream): void => {
  brought.wait(shown)
  shown.wait(brought)
}

const viaEvents = (shown: Stream, brought: Stream): void => {
  using start = shown.device.createEvent()
  using end = shown.device.createEvent()
  start.record(shown)
  start.wait(brought)
  end.record(brought)
  end.wait(shown)
}

/** The number of waits that are sent. */
const waits = (fn: () => void) => double.log(fn).filter(([name]) => name === "cuStreamWaitEvent").length

const ways = { streams: viaStreams, events: viaEvents }

onDouble("§6 a fork and join inside another library's capture", () => {
  for (const [way, forkAndJoin] of Object.entries(ways)) {
    test(`by ${way}: it does not order earlier work when memory is handed out`, () => {
      using device = openDevice("cuda:0")
      const { shown, brought, array, latch } = heldFill(device)
      const capture = new ForeignCapture(Number(shown.handle))
      forkAndJoin(shown, brought)
      capture.end()
      array.dispose()
      const fresh = brought.run(() => device.full("uint8", 16 * MIB, 2))
      latch.open()
      shown.synchronize()
      assert.equal(brought.run(() => fresh.readSync())[5], 2)
      assert.equal(latch.timedOut, false)
      latch.free()
    })

    test(`by ${way}: a later wait is sent`, () => {
      using device = openDevice("cuda:0")
      const [shown, a, b] = [device.createStream(), device.createStream(), device.createStream()]
      const array = a.run(() => device.zeros("uint8", 64))
      device.synchronize()
      const latch = new Latch(device.driver).hold(a.state.handle)
      a.run(() => array.fill(1))
      const capture = new ForeignCapture(Number(shown.handle))
      forkAndJoin(shown, a)
      forkAndJoin(a, b)
      forkAndJoin(shown, a)
      capture.end()
      assert.equal(
        waits(() => b.wait(a)),
        1,
      )
      assert.equal(b.query(), false)
      latch.open()
      assert.equal(b.run(() => array.readSync())[0], 1)
      assert.equal(latch.timedOut, false)
      latch.free()
    })
  }

  test("the driver's own allocations are freed behind all their uses, too", () => {
    withEnvironment({ AUXSTREAM_CUDA_MEMORY: "driver" }, () => {
      using device = openDevice("cuda:0")
      const { shown, brought, array, latch } = heldFill(device)
      const capture = new ForeignCapture(Number(shown.handle))
      viaStreams(shown, brought)
      capture.end()
      const { handle } = brought.state
      const frees = double.log(() => array.dispose()).filter(([name]) => name === "cuMemFreeAsync")
      assert.equal(frees.length, 1)
      assert.notEqual(frees[0]?.[2], handle)
      latch.open()
      device.synchronize()
      latch.free()
    })
  })

  test("inside, a wait for a stream that entered the capture is sent, even if we queued no new work", () => {
    using device = openDevice("cuda:0")
    const { shown, brought, other } = idle(device)
    const capture = new ForeignCapture(Number(shown.handle))
    brought.wait(shown)
    assert.equal(
      waits(() => other.wait(brought)),
      1,
    )
    assert.ok(device.driver.streams.isCapturedByOthers(other.state.handle))
    for (const stream of [brought, other]) shown.wait(stream)
    capture.end()
  })

  test("inside, streams that wait for an event or a fork enter the capture", () => {
    using device = openDevice("cuda:0")
    const { shown, brought, other } = idle(device)
    using event = device.createEvent()
    const capture = new ForeignCapture(Number(shown.handle))
    event.record(shown).wait(brought)
    assert.ok(device.driver.streams.isCapturedByOthers(brought.state.handle))
    const forked = shown.run(() => fork(() => {}))
    for (const stream of [shown, other]) stream.run(() => forked.join())
    assert.ok(device.driver.streams.isCapturedByOthers(other.state.handle))
    for (const stream of [brought, other]) shown.wait(stream)
    capture.end()
  })

  test("afterwards waits are skipped as usual, once the streams have been recorded again", () => {
    using device = openDevice("cuda:0")
    const { shown, brought, other } = idle(device)
    const capture = new ForeignCapture(Number(shown.handle))
    viaStreams(shown, brought)
    capture.end()
    other.wait(brought)
    assert.equal(
      waits(() => other.wait(brought)),
      0,
    )
  })

  test("§8 an event recorded there cannot be waited for afterwards, and the error says so", () => {
    using device = openDevice("cuda:0")
    const { shown, other } = idle(device)
    using event = device.createEvent()
    const capture = new ForeignCapture(Number(shown.handle))
    event.record(shown)
    capture.end()
    refused(() => event.wait(other), "AUX_STREAM_CAPTURING", "Record it again after the capture has ended")
    event.record(shown).wait(other)
  })
})

/** A held stream that later fills an array of another stream. */
function heldFill(device: Device): { shown: Stream; brought: Stream; array: DeviceArray<"uint8">; latch: Latch } {
  const [shown, brought] = [device.createStream(), device.createStream()]
  const array = brought.run(() => device.empty("uint8", 16 * MIB))
  shown.wait(brought)
  const latch = new Latch(device.driver).hold(shown.state.handle)
  shown.run(() => array.fill(1))
  return { shown, brought, array, latch }
}

function idle(device: Device): { shown: Stream; brought: Stream; other: Stream } {
  const [shown, brought, other] = [device.createStream(), device.createStream(), device.createStream()]
  device.synchronize()
  return { shown, brought, other }
}

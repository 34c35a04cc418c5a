import assert from "node:assert/strict"
import { test } from "node:test"
import { HostDriver } from "../../src/host/driver.js"
import { Device } from "../../src/runtime/device/device.js"
import { RecordingDriver } from "../support/recording-driver.js"

function open(): { device: Device; recording: RecordingDriver } {
  const recording = new RecordingDriver(new HostDriver(2, 2, "host"))
  return { device: new Device("host", recording.driver, () => {}), recording }
}

test("§7 completed binds at the call: an event recorded and awaited repeatedly needs one handle", async () => {
  const { device, recording } = open()
  using _ = device
  const event = device.createEvent()
  for (let round = 0; round < 50; round++) await event.record().completed()
  assert.ok(recording.take("events.create").length <= 2)
})

test("§7 completed binds at the call: while promises are pending, each record has a handle, and all are released", async () => {
  const { device, recording } = open()
  using _ = device
  const event = device.createEvent()
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 5 }, () => event.record().completed()))
  }
  assert.ok(recording.take("events.create").length <= 7)
})

test("§5.1 an event whose record was refused keeps its former record", async () => {
  const { device, recording } = open()
  using _ = device
  const [stream, other, gone] = [device.createStream(), device.createStream(), device.createStream()]
  const x = stream.run(() => device.zeros("int32", 4))
  stream.run(() => x.fill(1))
  const event = stream.record()
  const [record] = recording.take("events.record").slice(-1)
  const promise = event.completed()
  gone.dispose()
  assert.throws(() => event.record(gone), { code: "AUX_DISPOSED" })
  recording.failAt("events.record", 1, new Error("refused"))
  assert.throws(() => event.record(other), /refused/)
  recording.take()
  event.wait(other)
  assert.deepEqual(
    recording.take("streams.wait").map(({ args }) => args),
    [[other.state.handle, record?.args[0]]],
  )
  await promise
})

test("§6 an event whose handle was read keeps it, even if it is recorded again while promises are pending", async () => {
  const { device } = open()
  using _ = device
  const [stream, other] = [device.createStream(), device.createStream()]
  const event = stream.record()
  const promise = event.completed()
  const { handle } = event
  event.record(other)
  assert.equal(event.handle, handle)
  await promise
  assert.equal(event.handle, handle)
})

test("§6 waiting for an unrecorded event does nothing once its handle is read, whatever the handle was used for before", () => {
  const { device, recording } = open()
  using _ = device
  const stream = device.createStream()
  const used = stream.record()
  const before = used.state.handle
  used.dispose()
  const event = device.createEvent()
  assert.equal(event.state.handle, before)
  assert.notEqual(event.handle, BigInt(before))
  assert.equal(event.query(), true)
  assert.ok(recording.take("events.create").length > 0)
})

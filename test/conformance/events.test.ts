import assert from "node:assert/strict"
import { test } from "node:test"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, over, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

forEachOpenDevice("events", (open) => {
  test("§4 record, wait: a waiting stream runs after the recorded work", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using event = device.createEvent({ name: "handover" })
    using x = device.full("int32", 5, 1)
    using latch = new Latch(device).hold(first)
    first.wait(device.defaultStream)
    affine.launch({ ...over(5), stream: first }, 5, x, 2, 3)
    assert.equal(event.record(first), event)
    event.wait(second)
    affine.launch({ ...over(5), stream: second }, 5, x, 7, 1)
    assert.ok(isHeld(event))
    assert.ok(isHeld(second))
    latch.open()
    assert.deepEqual(
      second.run(() => x.readSync()),
      new Int32Array(5).fill(36),
    )
    assert.equal(event.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§4 wait: binds to the latest record at the call; later records do not matter", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using third = device.createStream()
    using event = device.createEvent()
    using latch = new Latch(device).hold(second)
    event.record(first)
    event.wait(third)
    event.record(second)
    third.synchronize()
    assert.ok(isHeld(event))
    event.wait(third)
    event.record(first)
    spin.launch({ grid: 1, block: 1, stream: third }, 1)
    event.synchronize()
    assert.ok(isHeld(third))
    latch.open()
    third.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§4 wait: waiting for an unrecorded event does nothing", () => {
    using device = open()
    using stream = device.createStream()
    using event = device.createEvent()
    event.wait(stream)
    stream.wait(event)
    event.synchronize()
    assert.equal(event.query(), true)
    stream.synchronize()
  })

  test("§4 record, wait: use the current stream of the event's device by default", () => {
    using device = open()
    using stream = device.createStream()
    using other = device.createStream()
    using event = device.createEvent()
    using latch = new Latch(device).hold(stream)
    stream.run(() => event.record())
    other.run(() => event.wait())
    spin.launch({ grid: 1, block: 1, stream: other }, 1)
    device.defaultStream.synchronize()
    assert.ok(isHeld(event))
    assert.ok(isHeld(other))
    latch.open()
    other.synchronize()
    assert.equal(event.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§4 stream.record: records the given event, or a new one", () => {
    using device = open()
    using stream = device.createStream()
    using given = device.createEvent()
    assert.equal(stream.record(given), given)
    using made = stream.record()
    assert.notEqual(made, given)
    made.synchronize()
    assert.equal(made.query(), true)
  })

  test("§3 many streams may wait for one event, and one stream for many events", () => {
    using device = open()
    const branches = Array.from({ length: 40 }, () => device.createStream())
    using end = device.createStream()
    using start = device.createEvent()
    using x = device.full("int32", branches.length, 1)
    using latch = new Latch(device).hold()
    affine.launch(over(branches.length), branches.length, x, 2, 0)
    start.record()
    branches.forEach((stream, index) => {
      start.wait(stream)
      affine.launch({ ...over(1), stream }, 1, x.subarray(index, index + 1), 1, index)
      using done = stream.record()
      done.wait(end)
    })
    affine.launch({ ...over(branches.length), stream: end }, branches.length, x, 10, 0)
    latch.open()
    const result = end.run(() => x.readSync())
    assert.deepEqual(
      [...result],
      branches.map((_, index) => 10 * (2 + index)),
    )
    assert.equal(latch.timedOut, false)
    for (const stream of branches) stream.dispose()
  })

  test("§8 event.dispose: queued waits go on, and the next owner of the handle does not disturb them", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using x = device.full("int32", 3, 1)
    first.wait(device.defaultStream)
    using latch = new Latch(device).hold(first)
    affine.launch({ ...over(3), stream: first }, 3, x, 6, 0)
    const event = first.record()
    event.wait(second)
    event.dispose()
    event.dispose()
    for (let count = 0; count < 50; count++) device.defaultStream.record().dispose()
    affine.launch({ ...over(3), stream: second }, 3, x, 1, 1)
    assert.ok(isHeld(second))
    refused(() => event.record(first), "AUX_DISPOSED", event.name)
    refused(() => event.wait(first), "AUX_DISPOSED", event.name)
    refused(() => first.wait(event), "AUX_DISPOSED", event.name)
    refused(() => event.query(), "AUX_DISPOSED", event.name)
    refused(() => event.synchronize(), "AUX_DISPOSED", event.name)
    refused(() => event.handle, "AUX_DISPOSED", event.name)
    latch.open()
    assert.deepEqual(
      second.run(() => x.readSync()),
      Int32Array.of(7, 7, 7),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§4 handle: is a number, and later records and waits keep their order", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using event = device.createEvent()
    assert.equal(typeof event.handle, "bigint")
    using latch = new Latch(device).hold(first)
    event.record(first)
    event.wait(second)
    spin.launch({ grid: 1, block: 1, stream: second }, 1)
    assert.ok(isHeld(second))
    latch.open()
    second.synchronize()
    assert.equal(event.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§4 elapsedTime: milliseconds between two records, positive for work between them", () => {
    using device = open()
    using stream = device.createStream()
    using start = device.createEvent({ timing: true })
    using end = device.createEvent({ timing: true })
    start.record(stream)
    spin.launch({ grid: 1, block: 1, stream }, 500_000)
    end.record(stream)
    end.synchronize()
    const elapsed = start.elapsedTime(end)
    assert.ok(elapsed > 0 && elapsed < 60_000, `${elapsed} ms`)
    assert.ok(end.elapsedTime(start) <= 0)
    assert.equal(start.elapsedTime(start), 0)
  })

  test("§4 elapsedTime: AUX_NOT_READY without timing, before a record, and before the record is complete", () => {
    using device = open()
    using stream = device.createStream()
    using start = device.createEvent({ timing: true, name: "start" }).record(stream)
    using end = device.createEvent({ timing: true, name: "end" })
    using plain = device.createEvent({ name: "plain" }).record(stream)
    stream.synchronize()
    refused(() => start.elapsedTime(end), "AUX_NOT_READY", "end", "recorded")
    refused(() => plain.elapsedTime(start), "AUX_NOT_READY", "plain", "timing: true")
    refused(() => start.elapsedTime(plain), "AUX_NOT_READY", "plain", "timing: true")
    using latch = new Latch(device).hold(stream)
    end.record(stream)
    refused(() => start.elapsedTime(end), "AUX_NOT_READY", "end", "not done")
    latch.open()
    end.synchronize()
    assert.ok(start.elapsedTime(end) >= 0)
    assert.equal(latch.timedOut, false)
  })
})

forEachOpenDevice("promises of events", (open) => {
  test("§4 completed: settles once the record is complete, and at once if never recorded", async () => {
    using device = open()
    using stream = device.createStream()
    using event = device.createEvent()
    await event.completed()
    using latch = new Latch(device).hold(stream)
    event.record(stream)
    let settled = false
    const promise = event.completed().then(() => (settled = true))
    await new Promise(setImmediate)
    assert.equal(settled, false)
    latch.open()
    await promise
    assert.equal(event.query(), true)
    assert.equal(latch.timedOut, false)
  })

  test("§7 completed: is bound at the call; later records do not matter", async () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using event = device.createEvent()
    using held = new Latch(device).hold(second)
    using short = new Latch(device).hold(first)
    event.record(first)
    const promises = [event.completed(), event.completed()]
    event.record(second)
    const later = event.completed()
    short.open()
    await Promise.all(promises)
    assert.ok(isHeld(event))
    held.open()
    await later
    assert.equal(event.query(), true)
    assert.equal(held.timedOut || short.timedOut, false)
  })

  test("§6 an event that several promises release is not handed to two owners", async () => {
    using device = open()
    using held = device.createStream()
    using other = device.createStream()
    using event = device.createEvent().record(other)
    const promises = [event.completed(), event.completed(), event.completed()]
    event.record(other)
    await Promise.all(promises)
    using latch = new Latch(device).hold(held)
    const owners = Array.from({ length: 6 }, () => device.createEvent())
    owners[0]?.record(held)
    for (const owner of owners.slice(1)) owner.record(other)
    other.synchronize()
    assert.deepEqual(
      owners.map((owner) => owner.query()),
      [false, true, true, true, true, true],
    )
    owners[1]?.record(held)
    owners[2]?.record(other)
    other.synchronize()
    assert.ok(owners[1] && isHeld(owners[1]))
    latch.open()
    held.synchronize()
    assert.equal(latch.timedOut, false)
    for (const owner of owners) owner.dispose()
  })

  for (const timing of [false, true]) {
    test(`§8 dispose: promises of a disposed event ${timing ? "with" : "without"} timing settle`, async () => {
      using device = open()
      using stream = device.createStream()
      const event = device.createEvent({ timing })
      using latch = new Latch(device).hold(stream)
      event.record(stream)
      const promises = [event.completed(), event.completed()]
      event.dispose()
      const others = Array.from({ length: 10 }, () => device.createEvent({ timing }).record())
      latch.open()
      await Promise.all(promises)
      assert.equal(stream.query(), true)
      assert.equal(latch.timedOut, false)
      for (const other of others) other.dispose()
    })
  }
})

import assert from "node:assert/strict"
import { test } from "node:test"
import type { Device, Stream } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, over, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

/**
 * A wait is skipped only if it adds nothing. These tests check by results that a stream that must wait does wait. Other tests
 * count the driver's calls to check that waits are skipped at all.
 */

function touch(stream: Stream): void {
  spin.launch({ grid: 1, block: 1, stream }, 1)
}

function streamsOf(device: Device, count: number): Stream[] {
  return Array.from({ length: count }, () => device.createStream())
}

forEachOpenDevice("elision", (open) => {
  test("§6 elision: a second wait for the same record orders like the first", () => {
    using device = open()
    const [a, b] = streamsOf(device, 2)
    if (a === undefined || b === undefined) return assert.fail()
    using latch = new Latch(device).hold(a)
    const event = a.record()
    for (let count = 0; count < 3; count++) event.wait(b)
    b.wait(a)
    assert.ok(isHeld(b))
    latch.open()
    b.synchronize()
    assert.equal(latch.timedOut, false)
    for (const thing of [a, b, event]) thing.dispose()
  })

  test("§6 elision: order known through a third stream counts, but not for new work there", () => {
    using device = open()
    const [a, b, c] = streamsOf(device, 3)
    if (a === undefined || b === undefined || c === undefined) return assert.fail()
    touch(a)
    b.wait(a)
    touch(b)
    c.wait(b)
    c.wait(a) // Known through b.
    using latch = new Latch(device).hold(a)
    c.wait(b) // Nothing new there.
    c.synchronize()
    assert.ok(isHeld(a))
    c.wait(a)
    assert.ok(isHeld(c))
    latch.open()
    c.synchronize()
    assert.equal(latch.timedOut, false)
    for (const stream of [a, b, c]) stream.dispose()
  })

  test("§6 elision: a wait for a new record of the same event is sent again", () => {
    using device = open()
    const [a, b] = streamsOf(device, 2)
    if (a === undefined || b === undefined) return assert.fail()
    using event = device.createEvent()
    touch(a)
    event.record(a).wait(b)
    using latch = new Latch(device).hold(a)
    event.record(a).wait(b)
    assert.ok(isHeld(b))
    latch.open()
    b.synchronize()
    assert.equal(latch.timedOut, false)
    a.dispose()
    b.dispose()
  })

  test("§6 elision: a record replaces the event's earlier record entirely", () => {
    using device = open()
    const [a, b, c] = streamsOf(device, 3)
    if (a === undefined || b === undefined || c === undefined) return assert.fail()
    using event = device.createEvent()
    using latch = new Latch(device).hold(a)
    event.record(a)
    event.record(b).wait(c)
    c.synchronize()
    c.wait(a)
    assert.ok(isHeld(c))
    latch.open()
    c.synchronize()
    assert.equal(latch.timedOut, false)
    for (const stream of [a, b, c]) stream.dispose()
  })

  test("§6 elision: every kind of operation counts as new work: copies, fills, uploads, allocations, reads, launches, external work", async () => {
    using device = open()
    using x = device.zeros("int32", 4)
    using y = device.zeros("int32", 4)
    using pinned = device.pinned("int32", 4)
    device.synchronize()
    const operations: ((stream: Stream) => unknown)[] = [
      (stream) => stream.run(() => y.copyFrom(x)),
      (stream) => stream.run(() => y.fill(1)),
      (stream) => stream.run(() => y.copyFrom(Int32Array.of(1, 2, 3, 4))),
      (stream) => stream.run(() => y.copyFrom(pinned)),
      (stream) => stream.run(() => pinned.copyFrom(y)),
      (stream) => stream.run(() => device.empty("int32", 4)),
      (stream) => stream.run(() => y.read()),
      (stream) => affine.launch({ ...over(4), stream }, 4, y, 1, 1),
      (stream) => stream.external({}, () => {}),
    ]
    for (const operation of operations) {
      const [held, worker, user] = streamsOf(device, 3)
      if (held === undefined || worker === undefined || user === undefined) return assert.fail()
      using latch = new Latch(device).hold(held)
      user.wait(worker)
      worker.wait(held)
      const result = operation(worker)
      user.wait(worker)
      assert.ok(isHeld(user), String(operation))
      latch.open()
      user.synchronize()
      assert.equal(latch.timedOut, false)
      if (result instanceof Promise) await result
      for (const stream of [held, worker, user]) stream.dispose()
    }
  })

  test("§6 elision: a wait alone is passed on to streams that wait later, though it is no operation", () => {
    using device = open()
    const [held, between, user] = streamsOf(device, 3)
    if (held === undefined || between === undefined || user === undefined) return assert.fail()
    user.wait(between)
    using latch = new Latch(device).hold(held)
    between.wait(held)
    user.wait(between)
    assert.ok(isHeld(user))
    using event = device.createEvent().record(between)
    using other = device.createStream()
    event.wait(other)
    assert.ok(isHeld(other))
    latch.open()
    user.synchronize()
    other.synchronize()
    assert.equal(latch.timedOut, false)
    for (const stream of [held, between, user]) stream.dispose()
  })

  test("§6 host: work that the host has seen done needs no wait; work queued since does", async () => {
    using device = open()
    const [a, b] = streamsOf(device, 2)
    if (a === undefined || b === undefined) return assert.fail()
    const seen: (() => unknown)[] = [
      () => a.synchronize(),
      () => a.completed(),
      () => a.record().synchronize(),
      () => a.record().completed(),
      () => device.synchronize(),
      () => device.completed(),
    ]
    for (const see of seen) {
      touch(a)
      await see()
      using latch = new Latch(device).hold(a)
      touch(b)
      b.synchronize()
      b.wait(a)
      assert.ok(isHeld(b), String(see))
      latch.open()
      b.synchronize()
      assert.equal(latch.timedOut, false)
    }
    a.dispose()
    b.dispose()
  })

  test("§6 host: a settled promise stands for its own record, not for a later record of the same event", async () => {
    using device = open()
    const [a, b, c] = streamsOf(device, 3)
    if (a === undefined || b === undefined || c === undefined) return assert.fail()
    using event = device.createEvent()
    using short = new Latch(device).hold(a)
    using long = new Latch(device).hold(b)
    const promise = event.record(a).completed()
    event.record(b)
    short.open()
    await promise
    c.wait(b)
    assert.ok(isHeld(c))
    long.open()
    c.synchronize()
    assert.equal(short.timedOut || long.timedOut, false)
    for (const stream of [a, b, c]) stream.dispose()
  })

  test("§6 streams are keyed by our own ids: a new stream is never confused with a disposed one", () => {
    using device = open()
    using user = device.createStream()
    for (let round = 0; round < 50; round++) {
      const old = device.createStream()
      touch(old)
      touch(old)
      user.wait(old)
      old.synchronize()
      old.dispose()
      const young = device.createStream()
      using latch = new Latch(device).hold(young)
      user.wait(young)
      assert.ok(isHeld(user))
      latch.open()
      user.synchronize()
      young.dispose()
      assert.equal(latch.timedOut, false)
    }
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { ControlMemory } from "../../../src/host/control/control.js"
import { LOCK, STREAM_WORDS } from "../../../src/host/control/layout.js"
import { Scheduler } from "../../../src/host/schedule/scheduler.js"

test("queueing does not wait forever for the scheduler's lock, which a dead worker may have left locked", () => {
  const control = ControlMemory.create()
  const loss = new Error("a worker has died")
  let looks = 0
  const scheduler = new Scheduler(control, () => {
    if (++looks === 3) throw loss
  })
  const stream = control.reserve(STREAM_WORDS)
  Atomics.store(control.words, LOCK, 1)
  assert.throws(
    () => scheduler.submit(stream),
    (error) => error === loss,
  )
  assert.equal(looks, 3)
})

test("the scheduler's lock can be acquired as soon as it is unlocked", () => {
  const control = ControlMemory.create()
  const scheduler = new Scheduler(control, () => Atomics.store(control.words, LOCK, 0))
  Atomics.store(control.words, LOCK, 1)
  const stream = control.reserve(STREAM_WORDS)
  assert.equal(scheduler.submit(stream), true)
  assert.equal(scheduler.take(), stream)
})

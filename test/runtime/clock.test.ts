import assert from "node:assert/strict"
import { test } from "node:test"
import { ClockSlots, VectorClock } from "../../src/runtime/clock.js"

function clock(...ticks: number[]): VectorClock {
  const made = new VectorClock()
  ticks.forEach((tick, slot) => made.set(slot, tick))
  return made
}

test("§6 clocks: an empty one covers nothing but the beginning", () => {
  const empty = new VectorClock()
  assert.equal(empty.covers(0, 0), true)
  assert.equal(empty.covers(7, 0), true)
  assert.equal(empty.covers(0, 1), false)
  assert.equal(empty.coversAll(new VectorClock()), true)
  assert.equal(empty.coversAll(clock(0, 0, 0)), true)
  assert.equal(empty.coversAll(clock(0, 0, 1)), false)
})

test("§6 clocks: set, covers", () => {
  const some = new VectorClock()
  some.set(3, 5)
  assert.equal(some.covers(3, 5), true)
  assert.equal(some.covers(3, 6), false)
  assert.equal(some.covers(2, 1), false)
  some.set(0, 1)
  assert.equal(some.covers(0, 1), true)
  assert.equal(some.covers(3, 5), true)
})

test("§6 clocks: merge takes the newest of each and says whether that was news", () => {
  const some = clock(1, 5)
  assert.equal(some.merge(clock(1, 5)), false)
  assert.equal(some.merge(clock(0, 4)), false)
  assert.equal(some.merge(new VectorClock()), false)
  assert.equal(some.merge(clock(0, 0, 0, 0)), false)
  assert.equal(some.merge(clock(2, 4)), true)
  assert.ok(some.coversAll(clock(2, 5)))
  assert.ok(!some.covers(0, 3))
  assert.equal(some.merge(clock(0, 0, 0, 9)), true)
  assert.ok(some.coversAll(clock(2, 5, 0, 9)))
  assert.equal(some.covers(2, 1), false)
})

test("§6 clocks: coversAll is a partial order", () => {
  const [a, b, both] = [clock(2, 1), clock(1, 2), clock(2, 2)]
  assert.equal(a.coversAll(b), false)
  assert.equal(b.coversAll(a), false)
  assert.ok(both.coversAll(a) && both.coversAll(b))
  assert.equal(a.coversAll(both), false)
  assert.ok(clock(2, 2, 1).coversAll(both))
  assert.equal(both.coversAll(clock(2, 2, 1)), false)
})

test("§6 clocks: copyFrom forgets what was there, a copy goes its own way", () => {
  const some = clock(9, 9, 9)
  some.copyFrom(clock(1))
  assert.equal(some.covers(0, 1), true)
  assert.equal(some.covers(0, 2), false)
  assert.equal(some.covers(1, 1), false)
  const copy = some.copy()
  some.set(0, 7)
  assert.equal(copy.covers(0, 2), false)
  copy.set(1, 3)
  assert.equal(some.covers(1, 1), false)
})

test("§6 slots: given again with the ticks going on, so that a slot and a tick never name two operations", () => {
  const slots = new ClockSlots()
  assert.deepEqual(slots.take(), { slot: 0, tick: 0 })
  assert.deepEqual(slots.take(), { slot: 1, tick: 0 })
  slots.give(0, 17)
  assert.deepEqual(slots.take(), { slot: 0, tick: 17 })
  assert.deepEqual(slots.take(), { slot: 2, tick: 0 })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ClockSlots } from "../../../src/runtime/clock/clock-slots.js"
import { HostClock } from "../../../src/runtime/clock/host-clock.js"
import { emptyClock, type VectorClock } from "../../../src/runtime/clock/vector-clock.js"

/** A clock's knowledge as plain numbers, by slot. */
type Known = readonly number[]

const SLOTS = 5

function clock(...ticks: Known): VectorClock {
  return ticks.reduce((made, tick, slot) => made.with(slot, tick), emptyClock)
}

/** The newest covered tick of each slot. */
function known(some: VectorClock): Known {
  return Array.from({ length: SLOTS }, (_, slot) => {
    let tick = 0
    while (some.isAfter(slot, tick + 1)) tick++
    return tick
  })
}

const newest = (some: Known, others: Known): Known => some.map((tick, slot) => Math.max(tick, others[slot] ?? 0))

test("§6 clocks: an empty clock covers only tick 0", () => {
  const empty = emptyClock
  assert.equal(empty.isAfter(0, 0), true)
  assert.equal(empty.isAfter(7, 0), true)
  assert.equal(empty.isAfter(0, 1), false)
  assert.equal(empty.isBefore(empty), true)
  assert.equal(clock(0, 0, 0).isBefore(empty), true)
  assert.equal(clock(0, 0, 1).isBefore(empty), false)
})

test("§6 clocks: isBefore is a partial order", () => {
  const [a, b, both] = [clock(2, 1), clock(1, 2), clock(2, 2)]
  assert.equal(b.isBefore(a), false)
  assert.equal(a.isBefore(b), false)
  assert.ok(a.isBefore(both) && b.isBefore(both))
  assert.equal(both.isBefore(a), false)
  assert.ok(both.isBefore(clock(2, 2, 1)))
  assert.equal(clock(2, 2, 1).isBefore(both), false)
})

const ticks = fc.array(fc.nat(4), { minLength: SLOTS, maxLength: SLOTS })

test("§6 clocks: with and join give the newest tick of each slot, and do not change their operands", () => {
  fc.assert(
    fc.property(ticks, ticks, fc.nat(SLOTS - 1), fc.nat(6), fc.nat(SLOTS - 1), (some, others, slot, tick, own) => {
      const [mine, theirs] = [clock(...some), clock(...others)]
      const entry = some.map((_, at) => (at === slot ? tick : 0))
      assert.deepEqual(known(mine.with(slot, tick)), newest(some, entry))
      const expected = newest(newest(some, others), entry)
      const joined = known(mine.join(own, theirs, slot, tick))
      // A stream does not need its own entry.
      for (let at = 0; at < SLOTS; at++) if (at !== own) assert.equal(joined[at], expected[at])
      assert.ok((joined[own] ?? 0) <= (expected[own] ?? 0))
      assert.deepEqual([known(mine), known(theirs)], [some, others])
      assert.equal(mine.isBefore(theirs), newest(some, others).join() === others.join())
    }),
    { numRuns: 2000 },
  )
})

test("§6 clocks: streams that wait for each other alternately know everything", () => {
  const turn = fc.tuple(fc.nat(SLOTS - 1), fc.nat(SLOTS - 1))
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60 }), (turns) => {
      const clocks = Array.from({ length: SLOTS }, () => emptyClock)
      const model: number[][] = Array.from({ length: SLOTS }, () => Array.from({ length: SLOTS }, () => 0))
      let count = 0
      for (const [from, to] of turns) {
        const [theirs, mine] = [model[from] ?? [], model[to] ?? []]
        theirs[from] = ++count // An operation that the other stream then waits for.
        if (from === to) continue
        model[to] = [...newest(mine, theirs)]
        clocks[to] = (clocks[to] ?? assert.fail()).join(to, clocks[from] ?? assert.fail(), from, count)
        clocks.forEach((some, own) =>
          known(some).forEach((tick, slot) => slot === own || assert.equal(tick, model[own]?.[slot])),
        )
      }
    }),
    { numRuns: 1000 },
  )
})

test("§6 clocks: the host's clock only grows", () => {
  const host = new HostClock()
  host.learn(clock(0, 3))
  host.learn(clock(2, 1))
  assert.ok(host.isAfter(0, 2) && host.isAfter(1, 3) && host.isAfter(9, 0))
  assert.ok(!host.isAfter(0, 3) && !host.isAfter(1, 4) && !host.isAfter(9, 1))
  host.learn(emptyClock)
  assert.ok(clock(2, 3).isBefore(host))
})

test("§6 slots: ticks continue when a slot is reused, so slot and tick never name two operations", () => {
  const slots = new ClockSlots()
  assert.deepEqual(slots.acquire(), { slot: 0, tick: 0 })
  assert.deepEqual(slots.acquire(), { slot: 1, tick: 0 })
  slots.release(0, 17)
  assert.deepEqual(slots.acquire(), { slot: 0, tick: 17 })
  assert.deepEqual(slots.acquire(), { slot: 2, tick: 0 })
})

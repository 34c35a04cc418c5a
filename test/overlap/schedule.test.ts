import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { MOST_PAIRS, WARM_UPS } from "../../src/overlap/measurement/alternation.js"
import { Schedule } from "../../src/overlap/measurement/schedule.js"
import type { Slot } from "../../src/overlap/measurement/stage.js"
import { timing } from "./simulated.js"

function take(schedule: Schedule): Slot {
  const slot = schedule.next()
  assert.ok(slot !== undefined)
  schedule.done(slot)
  return slot
}

/** How many pairs decide, if they do. */
function resultOf(schedule: Schedule): number | undefined {
  return schedule.result?.length
}

function finishWarmUp(schedule: Schedule): void {
  for (let call = 0; call < 2 * WARM_UPS; call++) take(schedule)
}

describe("§14: the schedule of a measurement", () => {
  test("begins with three calls each way that do not count", () => {
    const schedule = Schedule.ofMeasurement()
    const slots = Array.from({ length: 6 }, () => take(schedule))
    assert.deepEqual(
      slots.map(({ mode }) => mode),
      ["parallel", "sequential", "parallel", "sequential", "parallel", "sequential"],
    )
    assert.ok(slots.every(({ part }) => part === undefined))
    assert.ok(schedule.next()?.part !== undefined)
  })

  test("takes at most 16 more each way, and each pair begins with the mode with which the one before ended", () => {
    const schedule = Schedule.ofMeasurement()
    finishWarmUp(schedule)
    const modes: string[] = []
    while (schedule.next() !== undefined) modes.push(take(schedule).mode)
    assert.equal(modes.length, 2 * MOST_PAIRS)
    assert.deepEqual(
      modes.slice(0, 8).join(" "),
      "parallel sequential sequential parallel parallel sequential sequential parallel",
    )
    assert.equal(modes.filter((mode) => mode === "parallel").length, MOST_PAIRS)
  })

  test("a call that does not count is repeated with its pair", () => {
    const schedule = Schedule.ofMeasurement(0)
    const first = take(schedule)
    const second = schedule.next()
    assert.ok(second !== undefined && second.part === first.part)
    schedule.failed(second)
    const again = schedule.next()
    assert.ok(again !== undefined && again.part !== first.part)
    for (let count = 0; count < 2 * MOST_PAIRS; count++) take(schedule)
    assert.equal(schedule.next(), undefined)
  })

  test("a time that is lost is measured anew", () => {
    const schedule = Schedule.ofMeasurement(0)
    const slots: Slot[] = []
    while (schedule.next() !== undefined) slots.push(take(schedule))
    for (const slot of slots.slice(2)) schedule.timed(slot, timing(10))
    assert.equal(resultOf(schedule), undefined)
    const [lost] = slots
    assert.ok(lost !== undefined)
    schedule.lost(lost)
    for (const slot of [take(schedule), take(schedule)]) schedule.timed(slot, timing(10))
    assert.equal(resultOf(schedule), MOST_PAIRS)
  })

  test("six pairs are enough if all agree that the difference is large", () => {
    const schedule = Schedule.ofMeasurement(0)
    for (let count = 0; count < 12; count++) {
      assert.equal(resultOf(schedule), undefined)
      const slot = take(schedule)
      schedule.timed(slot, timing(slot.mode === "parallel" ? 100 : 110))
    }
    assert.equal(resultOf(schedule), 6)
  })

  test("six pairs are not enough if one of them disagrees, or if the difference is small", () => {
    for (const times of [
      { parallel: 100, sequential: 110, last: 90 },
      { parallel: 100, sequential: 104, last: 104 },
    ]) {
      const schedule = Schedule.ofMeasurement(0)
      for (let count = 0; count < 12; count++) {
        const slot = take(schedule)
        const sequential = count >= 10 ? times.last : times.sequential
        schedule.timed(slot, timing(slot.mode === "parallel" ? times.parallel : sequential))
      }
      assert.equal(resultOf(schedule), undefined)
    }
  })

  test("has failed after 64 calls in a row that did not count", () => {
    const schedule = Schedule.ofMeasurement()
    for (let count = 0; count < 64; count++) {
      assert.equal(schedule.isHopeless, false)
      const slot = schedule.next()
      assert.ok(slot !== undefined)
      schedule.failed(slot)
    }
    assert.equal(schedule.isHopeless, true)
  })
})

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

  test("has failed if every second call does not count, so that no pair is ever complete", () => {
    const schedule = Schedule.ofMeasurement(0)
    let calls = 0
    for (; !schedule.isHopeless; calls++) {
      const slot = schedule.next()
      assert.ok(slot !== undefined && calls < 1000)
      if (calls % 2 === 0) schedule.done(slot)
      else schedule.failed(slot)
    }
    assert.equal(calls, 512)
  })

  /** Ends alternation with the sequential mode. */
  function alternated(parallel: number): Schedule {
    const schedule = Schedule.ofMeasurement(0)
    for (let call = 0; call < 2 * MOST_PAIRS; call++) {
      const slot = take(schedule)
      schedule.timed(slot, timing(slot.mode === "parallel" ? parallel : 100))
    }
    return schedule
  }

  /** Runs until a result is there. @returns the modes of the runs, and how many calls of each counted */
  function run(schedule: Schedule, times: Record<"parallel" | "sequential", number>): string[] {
    const runs: { mode: string; calls: number; timed: number }[] = []
    while (schedule.result === undefined) {
      const slot = take(schedule)
      const last = runs.at(-1)
      const current = last?.mode === slot.mode && last.calls < 9 ? last : { mode: slot.mode, calls: 0, timed: 0 }
      if (current !== last) runs.push(current)
      current.calls += 1
      if (!slot.isTimed) continue
      current.timed += 1
      schedule.timed(slot, timing(times[slot.mode]))
    }
    return runs.map(({ mode, calls, timed }) => `${mode} ${timed} of ${calls}`)
  }

  const [parallelRun, sequentialRun] = ["parallel 6 of 9", "sequential 6 of 9"]
  const twoRounds = [parallelRun, sequentialRun, sequentialRun, parallelRun]

  test("looks again in runs before it decides for the sequential mode, and keeps what alternation found", () => {
    const schedule = alternated(103)
    assert.deepEqual(run(schedule, { parallel: 103, sequential: 100 }), twoRounds)
    assert.equal(resultOf(schedule), MOST_PAIRS)
  })

  test("runs that contradict alternation by far decide after two more rounds", () => {
    const schedule = alternated(103)
    assert.deepEqual(run(schedule, { parallel: 80, sequential: 100 }), [...twoRounds, ...twoRounds])
    assert.equal(resultOf(schedule), 24)
    assert.equal(schedule.result?.[0]?.parallel.elapsed, 80)
  })

  test("runs that contradict alternation only slightly change nothing: that may be chance", () => {
    const schedule = alternated(103)
    assert.deepEqual(run(schedule, { parallel: 92, sequential: 100 }), twoRounds)
    assert.equal(resultOf(schedule), MOST_PAIRS)
  })

  test("a round of runs begins anew if a time is lost", () => {
    const schedule = alternated(103)
    const slots = Array.from({ length: 9 }, () => take(schedule))
    const last = slots.at(-1)
    assert.ok(last !== undefined)
    schedule.lost(last)
    assert.deepEqual(run(schedule, { parallel: 103, sequential: 100 }), twoRounds)
  })

  test("a check takes two calls as decided, and four in the other mode; the last of each counts", () => {
    const schedule = Schedule.ofCheck("sequential")
    const calls: string[] = []
    while (schedule.next() !== undefined) {
      const slot = take(schedule)
      calls.push(`${slot.mode}${slot.isTimed ? ", timed" : ""}`)
      if (slot.isTimed) schedule.timed(slot, timing(1))
    }
    assert.deepEqual(calls, [
      ...["sequential", "sequential, timed"],
      ...["parallel", "parallel", "parallel", "parallel, timed"],
    ])
    assert.equal(resultOf(schedule), 1)
  })
})

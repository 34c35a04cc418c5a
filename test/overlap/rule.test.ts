import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { compare, fasterOf, isClearFor, type Pair } from "../../src/overlap/rule.js"
import { decide, drifts, noises, timing } from "./simulated.js"

const pair = (parallel: number, sequential: number): Pair => ({
  parallel: timing(parallel),
  sequential: timing(sequential),
})
const noiseNames = Object.keys(noises) as (keyof typeof noises)[]
const driftNames = Object.keys(drifts) as (keyof typeof drifts)[]

/** How many of 100 fresh decisions are for the faster mode. */
function rightOf100(
  truth: { parallel: number; sequential: number },
  noise: keyof typeof noises,
  drift: keyof typeof drifts,
) {
  const faster = truth.parallel < truth.sequential ? "parallel" : "sequential"
  let right = 0
  for (let seed = 1; seed <= 100; seed++) if (decide({ ...truth, seed, noise, drift }).mode === faster) right += 1
  return right
}

describe("§14: the rule of a measured decision", () => {
  for (const noise of noiseNames) {
    for (const drift of driftNames) {
      test(`finds the faster mode in 95 of 100 decisions at a difference of 6 %: noise ${noise}, drift ${drift}`, () => {
        for (const truth of [
          { parallel: 100, sequential: 106 },
          { parallel: 106, sequential: 100 },
        ]) {
          const right = rightOf100(truth, noise, drift)
          assert.ok(right >= 95, `${right} of 100 for ${JSON.stringify(truth)}`)
        }
      })
    }
  }

  test("finds it at a difference of one microsecond of ten, too", () => {
    assert.ok(rightOf100({ parallel: 11, sequential: 10 }, "gaussian", "walk") >= 95)
    assert.ok(rightOf100({ parallel: 10, sequential: 11 }, "spikes", "slower") >= 95)
  })

  test("counts the stream's time if the stream never starves, whatever the host's time is", () => {
    const busy = {
      parallel: { elapsed: 80, host: 70, starved: false },
      sequential: { elapsed: 100, host: 10, starved: false },
    }
    assert.equal(fasterOf(compare([busy])), "parallel")
  })

  test("counts the host's time if the stream starves, whatever the stream's time is", () => {
    const starved = {
      parallel: { elapsed: 80, host: 70, starved: true },
      sequential: { elapsed: 100, host: 10, starved: true },
    }
    const { gain, saved, parallel, sequential } = compare([starved])
    assert.equal(fasterOf(compare([starved])), "sequential")
    assert.ok(gain < 0)
    assert.deepEqual([saved, parallel, sequential].map(Math.round), [-60, 70, 10])
  })

  test("weighs both times if the stream starves after some of the calls", () => {
    const mixed = {
      parallel: { elapsed: 80, host: 30, starved: true },
      sequential: { elapsed: 100, host: 20, starved: false },
    }
    const { parallel, sequential } = compare([mixed])
    assert.deepEqual([parallel, sequential], [55, 60])
  })

  test("a difference within 2 % or half a microsecond is clear for neither mode", () => {
    for (const [parallel, sequential] of [
      [100, 101],
      [101, 100],
      [2, 2.4],
    ] as const) {
      const comparison = compare([pair(parallel, sequential)])
      assert.equal(isClearFor("parallel", comparison), false)
      assert.equal(isClearFor("sequential", comparison), false)
    }
    assert.equal(isClearFor("parallel", compare([pair(100, 103)])), true)
    assert.equal(isClearFor("sequential", compare([pair(103, 100)])), true)
  })

  test("calls that take no time at all are equally fast, and run in parallel", () => {
    const comparison = compare([pair(0, 0)])
    assert.equal(comparison.gain, 0)
    assert.equal(fasterOf(comparison), "parallel")
  })
})

import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { compare, fasterOf, isClearFor, type Pair } from "../../src/overlap/measurement/rule.js"
import { decide, drifts, noises, timing } from "./simulated.js"
import { measure, periodOf, type Program } from "./simulated-program.js"

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

  test("counts the stream's time if nothing is known about the thread", () => {
    const { parallel, sequential } = compare([pair(80, 100)])
    assert.deepEqual([parallel, sequential].map(Math.round), [80, 100])
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

/** A call's time on the thread and on the stream. */
const call = (thread: number, stream: number) => ({ thread, stream })

/** Programs by what determines how fast they are. */
const programs: Readonly<Record<string, Program>> = {
  "the stream, in both modes": { call: { parallel: call(3, 60), sequential: call(1, 80) } },
  "the stream, and overlap loses": { call: { parallel: call(3, 90), sequential: call(1, 80) } },
  "the thread, in both modes": { call: { parallel: call(8, 3), sequential: call(4, 3.5) } },
  "the thread in parallel, the stream in sequence, and overlap wins": {
    call: { parallel: call(12, 11), sequential: call(2, 20) },
  },
  "the thread in parallel, the stream in sequence, and overlap loses": {
    call: { parallel: call(10, 6), sequential: call(4, 8) },
  },
  "the same beside work between calls": {
    call: { parallel: call(10, 6), sequential: call(4, 8) },
    between: { thread: 20, stream: 20 },
  },
  "the thread because of the work between calls": {
    call: { parallel: call(8, 12), sequential: call(2, 20) },
    between: { thread: 30, stream: 5 },
  },
  "the stream because of the work between calls": {
    call: { parallel: call(8, 12), sequential: call(6, 14) },
    between: { thread: 10, stream: 40 },
  },
  "the thread, which computes for long between calls": {
    call: { parallel: call(8, 12), sequential: call(5, 20) },
    between: { thread: 3000, stream: 0 },
  },
  "each result is waited for": { call: { parallel: call(4, 40), sequential: call(2, 50) }, waitsEvery: 1 },
  "each result is waited for, and the thread is slow": {
    call: { parallel: call(12, 3), sequential: call(7, 4) },
    waitsEvery: 1,
  },
  "every second result is waited for": { call: { parallel: call(4, 40), sequential: call(2, 50) }, waitsEvery: 2 },
  "every sixteenth result is waited for, and the thread is slow": {
    call: { parallel: call(12, 8), sequential: call(3, 10) },
    waitsEvery: 16,
  },
  "the driver blocks the thread": {
    call: { parallel: call(3, 60), sequential: call(1, 80) },
    mostAhead: 4,
  },
  "threads that sequential calls leave asleep": {
    call: { parallel: call(1, 22), sequential: call(0.5, 41) },
    asleep: { calls: 3, extra: 24 },
  },
  "the same, and every sixteenth result is waited for": {
    call: { parallel: call(1, 22), sequential: call(0.5, 41) },
    asleep: { calls: 3, extra: 24 },
    waitsEvery: 16,
  },
  "threads that sequential calls leave asleep, and overlap loses": {
    call: { parallel: call(1, 45), sequential: call(0.5, 41) },
    asleep: { calls: 3, extra: 24 },
  },
}

describe("§14: the mode that makes the whole program faster is found, whatever makes it slow:", () => {
  for (const [what, program] of Object.entries(programs)) {
    test(what, () => {
      const [parallel, sequential] = [periodOf(program, "parallel"), periodOf(program, "sequential")]
      const faster = parallel < sequential ? "parallel" : "sequential"
      assert.ok(Math.abs(parallel - sequential) > 1, `${parallel} and ${sequential} are too alike`)
      let right = 0
      for (let seed = 1; seed <= 100; seed++) if (measure({ ...program, seed }).mode === faster) right += 1
      assert.ok(right >= 95, `${right} of 100 for ${faster}: ${parallel} and ${sequential}`)
    })
  }
})

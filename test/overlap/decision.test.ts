import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { Decision } from "../../src/overlap/decision.js"
import type { Pair } from "../../src/overlap/measurement/rule.js"
import { decide, gauss, timing, uniformFrom } from "./simulated.js"

const pair = (parallel: number, sequential: number): Pair => ({
  parallel: timing(parallel),
  sequential: timing(sequential),
})

describe("§14: a decision", () => {
  test("is changed by checks once the machine has changed, and not by a few odd ones", () => {
    const decision = Decision.from(Array.from({ length: 16 }, () => pair(100, 120)))
    assert.equal(decision.mode, "parallel")
    for (let count = 0; count < 5; count++) decision.check(pair(500, 120))
    assert.equal(decision.mode, "parallel")
    let checks = 5
    while (decision.mode === "parallel") {
      decision.check(pair(140, 120))
      checks += 1
      assert.ok(checks < 32)
    }
    assert.equal(decision.changes, 1)
    assert.equal(decision.checks, checks)
  })

  test("is not changed by a difference within the margin", () => {
    const decision = Decision.from(Array.from({ length: 16 }, () => pair(100, 101)))
    for (let count = 0; count < 200; count++) decision.check(pair(101, 100))
    assert.equal(decision.mode, "parallel")
    assert.equal(decision.changes, 0)
  })

  test("that came about by chance is corrected by checks", () => {
    let wrong = 0
    for (let seed = 1; seed <= 100; seed++) {
      const decision = Decision.from(Array.from({ length: 16 }, () => pair(110, 100))) // all of them misled
      const random = uniformFrom(seed)
      const noisy = (time: number) => time * Math.max(0.2, 1 + 0.1 * gauss(random))
      for (let count = 0; count < 40; count++) decision.check(pair(noisy(100), noisy(106)))
      if (decision.mode !== "parallel") wrong += 1
    }
    assert.ok(wrong <= 5, `${wrong} of 100 were not corrected`)
  })

  test("is checked rarely, and the more rarely the more a check costs", () => {
    const close = Decision.from(Array.from({ length: 16 }, () => pair(1000, 1020)))
    const far = Decision.from(Array.from({ length: 16 }, () => pair(1000, 10_000)))
    const short = Decision.from(Array.from({ length: 16 }, () => pair(10, 10)))
    assert.equal(close.interval, 64)
    assert.equal(far.interval, 7202)
    // Timing the calls of a check takes as long as one of them.
    assert.equal(short.interval, 200)
    for (let count = 0; count < 10; count++) close.check(pair(1000, 1020))
    assert.equal(close.interval, 1024)
    close.check(pair(2000, 1020))
    assert.equal(close.interval, 16)
    close.check(pair(1000, 1020))
    assert.equal(close.interval, 32)
    short.check(pair(20, 10))
    assert.equal(short.interval, 50)
  })

  test("that was stored is not changed by fewer than six checks", () => {
    const decision = Decision.stored({
      ...{ call: "eager", key: 1, mode: "parallel", parallelMicroseconds: 100, pairs: 16, early: false },
      sequentialMicroseconds: 110,
      decided: new Date().toISOString(),
    })
    assert.equal(decision.pairs, 16)
    for (let count = 0; count < 5; count++) decision.check(pair(150, 110))
    assert.equal(decision.mode, "parallel")
    assert.equal(decision.comparison.parallel, 100)
    decision.check(pair(150, 110))
    assert.equal(decision.mode, "sequential")
    assert.equal(decision.comparison.parallel, 150)
  })

  test("of two equally fast modes stays as it is: checks under noise rarely change it", () => {
    let changes = 0
    for (let seed = 1; seed <= 50; seed++) {
      const decision = decide({ seed, parallel: 100, sequential: 100, noise: "gaussian", drift: "walk" })
      const random = uniformFrom(seed)
      const noisy = () => 100 * Math.max(0.2, 1 + 0.05 * gauss(random))
      for (let count = 0; count < 100; count++) decision.check(pair(noisy(), noisy()))
      changes += decision.changes
    }
    assert.ok(changes <= 50, `${changes} changes in 5000 checks`)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { Standstill } from "../../../src/host/threads/standstill.js"

/** Asks every 50 ms until the standstill has lasted for 3 s, at most 30 s. @returns when, in milliseconds */
function lasts(usedPerQuestion: (time: number) => number): number {
  let time = 0
  let used = 1000
  const standstill = new Standstill(
    () => time,
    () => used,
  )
  do {
    time += 50
    used += usedPerQuestion(time)
  } while (!standstill.hasLasted(3000, 30_000))
  return time
}

test("a process that uses no processor time stands still", () => {
  assert.equal(
    lasts(() => 0),
    3000,
  )
  assert.equal(
    lasts(() => 1),
    3000,
  )
})

test("a process stands still only after its threads have stopped, however long they took to start", () => {
  assert.equal(
    lasts((time) => (time <= 9000 ? 10 : 0)),
    12_000,
  )
})

test("a process that is always busy is given up after a longer time", () => {
  assert.equal(
    lasts(() => 100),
    30_000,
  )
})

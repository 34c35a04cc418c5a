import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Rounds } from "../../src/common/rounds.js"

test("each turn checks a few entries, however many there are, and all are checked in time", () => {
  const rounds = new Rounds<number>()
  for (let one = 0; one < 1000; one++) rounds.add(one)
  const looked = new Set<number>()
  for (let turn = 0; turn < 250; turn++) {
    let looks = 0
    rounds.take((one) => {
      looks += 1
      looked.add(one)
      return false
    })
    assert.equal(looks, 4)
  }
  assert.equal(looked.size, 1000)
  assert.equal(rounds.size, 1000)
})

test("no entry is lost, taken twice or taken too early, whatever is added or ends meanwhile", () => {
  const step = fc.oneof(fc.constant("add" as const), fc.constant("look" as const), fc.nat(40))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const rounds = new Rounds<number>()
      const waiting = new Set<number>()
      const over = new Set<number>()
      let added = 0
      const look = (): void => {
        for (const one of rounds.take((candidate) => over.has(candidate))) {
          assert.ok(over.has(one) && waiting.delete(one))
        }
      }
      for (const what of steps) {
        if (what === "add") {
          waiting.add(added)
          rounds.add(added++)
        } else if (what === "look") {
          look()
        } else if (what < added) {
          over.add(what)
        }
        assert.equal(rounds.size, waiting.size)
      }
      for (let turn = 0; turn < added; turn++) look()
      assert.deepEqual(new Set(rounds), waiting)
      assert.ok([...waiting].every((one) => !over.has(one)))
    }),
  )
})

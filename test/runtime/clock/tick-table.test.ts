import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TickTable } from "../../../src/runtime/clock/tick-table.js"

/** Slots on both sides of each size at which a table grows by a level. */
const slots = [0, 1, 31, 32, 33, 63, 64, 1023, 1024, 1025, 32_767, 32_768, 40_000]

const slot = fc.constantFrom(...slots)
const entries = fc.array(fc.tuple(slot, fc.integer({ min: 1, max: 9 })), { maxLength: 12 })

type Known = Map<number, number>

function table(given: readonly [number, number][]): [TickTable, Known] {
  const known: Known = new Map(given)
  return [given.reduce((made, [at, tick]) => made.with(at, tick), new TickTable()), known]
}

const contents = (some: TickTable): number[] => slots.map((at) => some.get(at))
const expected = (known: Known): number[] => slots.map((at) => known.get(at) ?? 0)

test("a table has the values that were set, and does not change the table that it was made from", () => {
  fc.assert(
    fc.property(entries, slot, fc.nat(9), (given, at, tick) => {
      const [made, known] = table(given)
      const changed = made.with(at, tick)
      assert.deepEqual(contents(made), expected(known))
      assert.deepEqual(contents(changed), expected(new Map([...known, [at, tick]])))
    }),
  )
})

test("a union has the newer tick of each slot, and is one of the two tables if that one has them all", () => {
  fc.assert(
    fc.property(entries, entries, (some, others) => {
      const [mine, known] = table(some)
      const [theirs, known2] = table(others)
      const union = mine.union(theirs)
      const newest = slots.map((at) => Math.max(known.get(at) ?? 0, known2.get(at) ?? 0))
      assert.deepEqual(contents(union), newest)
      assert.deepEqual(contents(theirs.union(mine)), newest)
      assert.ok([union, mine].includes(union.union(mine)))
      assert.ok([union, theirs].includes(theirs.union(union)))
    }),
  )
})

test("every visits all slots except those shared with the given table", () => {
  fc.assert(
    fc.property(entries, entries, slot, (some, others, at) => {
      const [made, known] = table(some)
      const [other] = table(others)
      assert.equal(
        made.every(undefined, (asked, tick) => known.get(asked) === tick || tick === 0),
        true,
      )
      const changed = made.with(at, 10)
      assert.equal(
        changed.every(made, (asked) => asked !== at),
        false,
      )
      assert.equal(
        made.every(other, (asked, tick) => other.get(asked) >= tick),
        made.every(undefined, (asked, tick) => other.get(asked) >= tick),
      )
    }),
  )
})

/** The total of visited entries in a chain of tables that differ by one entry each. */
function visits(count: number): number {
  const visited = new WeakSet<TickTable>()
  let seen = 0
  let last = new TickTable()
  for (let at = 0; at < count; at++) {
    last = last.with(at, 1)
    last.visitNew(visited, () => (seen += 1))
  }
  return seen
}

test("a chain of tables shares nearly all entries: ten times as many tables cost about ten times as much", () => {
  assert.ok(visits(20_000) < 20 * visits(2000), `${visits(2000)} visits, then ${visits(20_000)}`)
})

import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { PendingHeap, type Waiting } from "../../../src/host/completion/pending-heap.js"

interface Named extends Waiting {
  readonly name: number
}

const entry = (position: number, turn: number): Named => ({ position, turn, place: -1, name: turn })

test("entries leave in the order of their positions, then of their arrival; any entry can be removed early", () => {
  const one = fc.record({ position: fc.nat(9), leaves: fc.boolean() })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (ones) => {
      const heap = new PendingHeap<Named>()
      const entries = ones.map(({ position }, turn) => entry(position, turn))
      for (const each of entries) heap.add(each)
      const stays = entries.filter((_, turn) => ones[turn]?.leaves === false)
      for (const each of entries) if (!stays.includes(each)) heap.remove(each)
      const left: Named[] = []
      for (let first = heap.first; first !== undefined; first = heap.first) {
        heap.remove(first)
        heap.remove(first) // Once more does nothing.
        left.push(first)
      }
      assert.deepEqual(
        left.map(({ name }) => name),
        stays.toSorted((a, b) => a.position - b.position || a.turn - b.turn).map(({ name }) => name),
      )
    }),
  )
})

/** How often positions are read when this many are added in falling order, and half are removed in order of arrival. */
function looks(count: number): number {
  let seen = 0
  const heap = new PendingHeap<Waiting>()
  const entries = Array.from({ length: count }, (_, turn) => ({
    get position() {
      seen += 1
      return count - turn
    },
    turn,
    place: -1,
  }))
  for (const each of entries) heap.add(each)
  for (const each of entries.slice(0, count / 2)) heap.remove(each)
  for (let first = heap.first; first !== undefined; first = heap.first) heap.remove(first)
  return seen
}

test("ten times as many waiters take about ten times as many steps, even in reverse order", () => {
  assert.ok(looks(10_000) < 20 * looks(1000), `${looks(1000)} steps for 1000, ${looks(10_000)} for 10 000`)
})

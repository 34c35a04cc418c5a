import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type Range, Ranges } from "../../src/common/ranges.js"

const size = 30
const range = fc
  .tuple(fc.nat(size), fc.nat(size))
  .map(([a, b]): Range => ({ begin: Math.min(a, b), end: Math.max(a, b) }))

const numbers = ({ begin, end }: Range): number[] => Array.from({ length: end - begin }, (_, index) => begin + index)

test("ranges represent a set of numbers with as few ranges as possible", () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), range, (added, asked) => {
      const ranges = new Ranges()
      for (const { begin, end } of added) ranges.add(begin, end)
      const members = new Set(added.flatMap(numbers))
      const kept = [...ranges]
      assert.deepEqual(
        kept.flatMap(numbers),
        [...members].sort((a, b) => a - b),
      )
      kept.forEach(({ begin, end }, index) => assert.ok(begin < end && begin > (kept[index - 1]?.end ?? -1)))
      const { begin, end } = asked
      const inside = numbers(asked).filter((number) => members.has(number))
      assert.equal(ranges.covers(begin, end), inside.length === end - begin)
      assert.equal(ranges.overlaps(begin, end), inside.length > 0)
      const outside = numbers(asked).filter((number) => !members.has(number))
      assert.deepEqual(ranges.outside(begin, end).flatMap(numbers), outside)
    }),
  )
})

import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { endOf, overlap, overlapOf, type StridedRange } from "../../src/common/strided.js"

/** Every byte of a range. */
function bytesOf({ address, width, pitch, rows }: StridedRange): Set<number> {
  const bytes = new Set<number>()
  for (let row = 0; row < rows; row++) for (let byte = 0; byte < width; byte++) bytes.add(address + row * pitch + byte)
  return bytes
}

const range = fc
  .record({
    address: fc.nat(60),
    width: fc.nat(6),
    gap: fc.nat(12),
    rows: fc.integer({ min: 1, max: 7 }),
  })
  .map(({ address, width, gap, rows }) => ({ address, width, pitch: width + gap, rows }))

test("two strided ranges overlap if, and only if, they have a byte in common", () => {
  fc.assert(
    fc.property(range, range, fc.boolean(), (one, free, equal) => {
      const other = equal && free.width <= one.pitch ? { ...free, pitch: one.pitch } : free
      const bytes = bytesOf(other)
      const expected = [...bytesOf(one)].some((byte) => bytes.has(byte))
      assert.equal(overlap(one, other), expected)
      assert.equal(overlap(other, one), expected)
      if (expected) {
        const { begin, end } = overlapOf(one, other)
        assert.ok(begin < end)
        for (let byte = begin; byte < end; byte++) assert.ok(bytes.has(byte) && bytesOf(one).has(byte))
      }
      if (one.width > 0) assert.equal(endOf(one), Math.max(...bytesOf(one)) + 1)
    }),
    { numRuns: 3000 },
  )
})

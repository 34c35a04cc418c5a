import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { HandleSet } from "../../src/cuda/stream/handle-set.js"

/** Some share all the bits that are counted by, some are as far apart as addresses are. */
const handle = fc.oneof(
  fc.integer({ min: 1, max: 6 }).map((step) => step * 2 ** 24),
  fc.constantFrom(0x55aa_1234_5600, 0x7f00_1234_5600, 0x7f00_1234_5610),
)
const step = fc.record({ what: fc.constantFrom("add", "delete"), handle })

test("a set of handles has what a Set has, whatever handles share their counts", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [handles, expected] = [new HandleSet(), new Set<number>()]
      for (const { what, handle: one } of steps) {
        handles[what](one)
        expected[what](one)
        for (const asked of [one, ...expected, 3 * 2 ** 24, 0x7f00_1234_5600]) {
          assert.equal(handles.has(asked), expected.has(asked))
        }
      }
    }),
  )
})

import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { AWAITED_HIGH, AWAITED_LOW, STREAM_WORDS, highWord } from "../../../src/host/control/layout.js"
import { addWaiter, isReached, takeFirstWaiter } from "../../../src/host/schedule/waiters.js"

const ROOT = 0

/** Control blocks of streams that wait for these positions and are in no heap yet. */
function blocks(positions: readonly number[]): { words: Int32Array; streams: number[] } {
  const words = new Int32Array((positions.length + 1) * STREAM_WORDS)
  const streams = positions.map((position, index) => {
    const stream = (index + 1) * STREAM_WORDS
    words[stream + AWAITED_LOW] = position | 0
    words[stream + AWAITED_HIGH] = highWord(position)
    return stream
  })
  return { words, streams }
}

/** Removes all waiters for positions up to this one. */
function takeReached(words: Int32Array, position: number): number[] {
  const taken: number[] = []
  while (words[ROOT] !== 0 && isReached(words, words[ROOT] ?? 0, highWord(position), position | 0)) {
    taken.push(takeFirstWaiter(words, ROOT))
  }
  return taken
}

const position = fc.oneof(fc.nat(9), fc.integer({ min: 2 ** 31 - 3, max: 2 ** 31 + 3 }), fc.constant(2 ** 40))

test("progress removes the waiters whose positions it has reached, earliest first, in whatever order they were added", () => {
  const step = fc.record({ position, looks: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { words, streams } = blocks(steps.map((one) => one.position))
      const waiting = new Map<number, number>()
      for (const [index, one] of steps.entries()) {
        const stream = streams[index] ?? assert.fail()
        addWaiter(words, ROOT, stream)
        waiting.set(stream, one.position)
        if (!one.looks) continue
        const taken = takeReached(words, one.position).map((each) => waiting.get(each) ?? assert.fail("taken twice"))
        assert.deepEqual(
          taken,
          taken.toSorted((a, b) => a - b),
        )
        for (const [each, awaited] of waiting) if (awaited <= one.position) waiting.delete(each)
      }
      assert.equal(takeReached(words, 2 ** 41).length, waiting.size)
    }),
  )
})

/** How many words are read when this many streams wait for positions that are reached one after another. */
function looks(count: number, order: (index: number) => number): number {
  const { words, streams } = blocks(Array.from({ length: count }, (_, index) => order(index)))
  let seen = 0
  const counted = new Proxy(words, {
    get: (target, name) => {
      seen += 1
      return Reflect.get(target, name) as unknown
    },
  })
  for (const stream of streams) addWaiter(counted, ROOT, stream)
  for (let reached = 0; reached < 10_008; reached++) takeReached(counted, reached)
  assert.equal(words[ROOT], 0)
  return seen
}

for (const [name, order] of [
  ["in the order of the positions", (index: number) => index],
  ["in reverse", (index: number) => 10_000 - index],
  ["in disorder", (index: number) => (index * 7919) % 10_007],
] as const) {
  test(`ten times as many streams that wait for one cost about ten times as much: ${name}`, () => {
    const [few, many] = [looks(500, order), looks(5000, order)]
    assert.ok(many < 25 * few, `${few} looks for 500, ${many} for 5000`)
  })
}

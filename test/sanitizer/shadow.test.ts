import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { AccessRole, OperationType } from "../../src/runtime/order/observer/operation.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"
import { Birth } from "../../src/sanitizer/history/birth.js"
import { Lane } from "../../src/sanitizer/history/lane.js"
import { PastAccess, QueuedOperation } from "../../src/sanitizer/history/past-access.js"
import { Shadow } from "../../src/sanitizer/history/shadow.js"

const SIZE = 40

const lane = new Lane({} as StreamState, 0, 0) // A shadow never looks at the stream.

function accessOf(label: string): PastAccess {
  const type = new OperationType("launch", label, ["write"])
  const role = new AccessRole("write", undefined, undefined)
  return new PastAccess(new QueuedOperation(lane, type, undefined, undefined), role, undefined, false)
}

/** What each byte's segment holds. */
function bytesOf(shadow: Shadow): string[] {
  return Array.from({ length: SIZE }, (_, byte) => {
    const found = shadow.overlapping(byte, byte + 1)
    assert.ok(found.length < 2, "segments overlap")
    return (found[0]?.accesses ?? []).map(({ operation }) => operation.label).join(" ")
  })
}

const range = fc.tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: SIZE })).map(([begin, length]) => {
  return { begin, end: Math.min(SIZE, begin + length) }
})

const step = fc.record({ kind: fc.constantFrom("add", "replace", "forget"), range })

describe("§13 the shadow of memory", () => {
  test("holds for each byte what a model holds", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const shadow = new Shadow()
        const model = Array.from({ length: SIZE }, (): string[] => [])
        for (const [
          index,
          {
            kind,
            range: { begin, end },
          },
        ] of steps.entries()) {
          const label = String(index)
          const bytes = model.slice(begin, end)
          if (kind === "forget") {
            shadow.keep(begin, end, ({ operation }) => Number(operation.label) % 3 === 0)
            for (const labels of bytes) labels.splice(0, Infinity, ...labels.filter((each) => Number(each) % 3 === 0))
            continue
          }
          const tiles = shadow.tiles(begin, end)
          assert.deepEqual([tiles[0]?.begin, tiles.at(-1)?.end], [begin, end])
          tiles.slice(1).forEach((tile, place) => assert.equal(tile.begin, tiles[place]?.end))
          if (kind === "replace") {
            shadow.unite(tiles, [accessOf(label)])
            for (const labels of bytes) labels.splice(0, Infinity, label)
            assert.ok(shadow.exactly(begin, end) !== undefined)
          } else {
            for (const tile of tiles) tile.accesses.push(accessOf(label))
            for (const labels of bytes) labels.push(label)
          }
        }
        assert.deepEqual(
          bytesOf(shadow),
          model.map((labels) => labels.join(" ")),
        )
      }),
    )
  })

  test("an array's first contents are known for each of its bytes, until its end or until they are over", () => {
    const shadow = new Shadow()
    const births = [0, 20].map((begin) => new Birth({ lane, tick: 1 }, begin, begin + 20))
    const known = () => {
      const found = Array.from({ length: SIZE }, (_, byte) => shadow.overlapping(byte, byte + 1)[0]?.birth)
      return found.map((birth) => (birth === undefined ? "." : births.indexOf(birth))).join("")
    }
    for (const birth of births) for (const tile of shadow.tiles(birth.begin, birth.end)) tile.birth = birth
    shadow.tiles(5, 10)
    assert.equal(known(), "0".repeat(20) + "1".repeat(20))
    shadow.unite(shadow.tiles(0, 20), [accessOf("whole")])
    assert.equal(known(), "0".repeat(20) + "1".repeat(20))
    shadow.keepAll(
      () => true,
      (birth) => birth !== births[1],
    )
    assert.equal(known(), "0".repeat(20) + ".".repeat(20))
    assert.equal(shadow.size, 1)
    shadow.keep(0, 12, () => false)
    assert.equal(known(), ".".repeat(12) + "0".repeat(8) + ".".repeat(20))
    assert.equal(shadow.size, 1)
  })

  test("segments do not share accesses: what replaces one in place changes no other bytes", () => {
    const shadow = new Shadow()
    shadow.tiles(0, 10)[0]?.accesses.push(accessOf("first"))
    const [tile] = shadow.tiles(4, 6)
    const other = accessOf("second")
    tile?.accesses[0]?.set(other.operation, other.role, undefined, false)
    assert.deepEqual(
      bytesOf(shadow).slice(0, 10).join(","),
      "first,first,first,first,second,second,first,first,first,first",
    )
  })
})

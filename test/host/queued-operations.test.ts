import assert from "node:assert/strict"
import { describe, it } from "node:test"
import fc from "fast-check"
import { QueuedOperations } from "../../src/host/timeline/queued-operations.js"

/** Pieces of a queue: an operation's commands, commands of none, an outer operation around the pieces so far, or progress. */
const piece = fc.oneof(
  fc.record({ kind: fc.constant("operation" as const), length: fc.nat(4) }),
  fc.record({ kind: fc.constant("gap" as const), length: fc.nat(3) }),
  fc.record({ kind: fc.constant("outer" as const), length: fc.nat(4) }),
  fc.record({ kind: fc.constant("forget" as const), length: fc.nat(12) }),
)

describe("§12 records of workers find their operation by its place in the queue", () => {
  it("as a list of the owner of each position says", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const operations = new QueuedOperations()
        const owners: (number | undefined)[] = []
        let forgotten = 0
        pieces.forEach(({ kind, length }, number) => {
          if (kind === "gap") owners.push(...Array.from({ length }, () => undefined))
          if (kind === "forget") forgotten = Math.max(forgotten, Math.min(owners.length, length))
          if (kind === "forget") operations.forget(forgotten)
          if (kind !== "operation" && kind !== "outer") return
          // An outer operation began at the last one that ended, and has queued more since.
          const begin = kind === "outer" ? Math.max(0, operations.end - 1) : owners.length
          const end = owners.length + length
          const first = Math.max(begin, operations.end)
          assert.equal(operations.add(number, begin, end), first < end)
          for (let at = first; at < end; at++) owners[at] = number
        })
        for (let at = forgotten; at < owners.length + 2; at++) assert.equal(operations.at(at), owners[at])
      }),
    )
  })
})

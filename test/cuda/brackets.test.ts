import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { Brackets } from "../../src/cuda/cupti/brackets.js"

/** Operations, each with its stream, its first and last call, and the operations inside it. */
type Enclosed = readonly [operation: number, stream: number, first: number, last: number, ...inner: Enclosed[]]

function bracketsOf(...operations: Enclosed[]): Brackets {
  const brackets = new Brackets()
  const links: [call: number, operation: number][] = []
  const queue = ([operation, stream, first, last, ...inner]: Enclosed): void => {
    brackets.begin(operation, stream)
    links.push([last, operation], [first, operation])
    inner.forEach(queue)
    brackets.end()
  }
  operations.forEach(queue)
  // CUPTI returns its buffers in any order.
  for (const [call, operation] of links.toReversed()) brackets.linked(call, operation)
  return brackets
}

describe("§12 the operation of a call that another library made", () => {
  it("is the one on its stream between whose calls it lies", () => {
    const brackets = bracketsOf([1, 7, 10, 20], [2, 7, 30, 40], [3, 8, 50, 60])
    const operations = [9, 10, 15, 20, 25, 31, 39, 55].map((call) => brackets.operationOf(call, 7))
    assert.deepEqual(operations, [undefined, undefined, 1, undefined, undefined, 2, 2, undefined])
    assert.equal(brackets.operationOf(55, 8), 3)
    assert.equal(brackets.operationOf(15, 9), undefined)
  })

  it("is the innermost one on its stream", () => {
    const brackets = bracketsOf([1, 7, 10, 60, [2, 7, 20, 30], [3, 8, 40, 50, [4, 7, 43, 46]]])
    const operations = [15, 25, 35, 42, 45, 48, 55].map((call) => brackets.operationOf(call, 7))
    assert.deepEqual(operations, [1, 2, 1, 1, 4, 1, 1])
    assert.deepEqual(
      [42, 45, 55].map((call) => brackets.operationOf(call, 8)),
      [3, 3, undefined],
    )
  })

  it("is unknown where CUPTI recorded none of the calls, or one only", () => {
    const brackets = new Brackets()
    brackets.begin(1, 7)
    brackets.end()
    brackets.begin(2, 7)
    brackets.linked(10, 2)
    brackets.end()
    assert.equal(brackets.operationOf(11, 7), undefined)
  })
})

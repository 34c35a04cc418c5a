import assert from "node:assert/strict"
import { describe, it } from "node:test"
import type { GraphOutline, OutlinedOperation } from "../../src/runtime/order/observer/graph-outline.js"
import { hasLoop, otherIterations, type RecordedNode } from "../../src/trace/record/loops.js"

const own = (start: number, end: number): RecordedNode => ({ stream: 0, start, end, isInside: false })
const inside = (start: number, end: number, stream = 1): RecordedNode => ({ stream, start, end, isInside: true })

describe("§12 iterations that CUPTI does not record", () => {
  it("are in the pause before the recorded iteration of each loop", () => {
    const nodes = [own(0, 1000), inside(9000, 9500), inside(9600, 9900), own(20_000, 21_000), inside(40_000, 41_000, 2)]
    assert.deepEqual(otherIterations(nodes), [
      { stream: 1, start: 1000, end: 9000 },
      { stream: 2, start: 21_000, end: 40_000 },
    ])
  })

  it("are none where there is no pause, or a short one, or one before a node outside", () => {
    assert.deepEqual(otherIterations([own(0, 1000), inside(3000, 4000), own(40_000, 41_000)]), [])
    assert.deepEqual(otherIterations([own(0, 1000), inside(30_000, 40_000), own(1000, 41_000)]), [])
  })
})

describe("§12 a graph has a loop", () => {
  const operation = (kind: OutlinedOperation["kind"], label: string, part?: GraphOutline): OutlinedOperation => ({
    ...{ kind, label, part, after: [], region: undefined, branch: undefined, until: undefined },
  })
  const graph = (...operations: OutlinedOperation[]): GraphOutline => ({ operations, regions: [] })
  const empty = graph()

  it("if it runs something while a condition holds, also in a graph or a conditional inside", () => {
    const loop = graph(operation("launch", "a"), operation("conditional", "while", empty))
    assert.ok(hasLoop(loop))
    assert.ok(hasLoop(graph(operation("conditional", "if", loop))))
    assert.ok(hasLoop(graph(operation("graph", "graph", loop))))
    assert.ok(!hasLoop(graph(operation("conditional", "if", empty), operation("launch", "while"))))
  })
})

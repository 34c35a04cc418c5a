import assert from "node:assert/strict"
import { describe, it } from "node:test"
import type { GraphOutline, OutlinedOperation } from "../../src/runtime/order/observer/graph-outline.js"
import { hasLoop, otherIterations, type RecordedNode } from "../../src/trace/loops.js"

const own = (start: number, end: number): RecordedNode => ({ stream: 0, start, end, body: undefined })
const inBody = (start: number, end: number, body = 7, stream = 1): RecordedNode => ({ stream, start, end, body })

describe("§12 iterations that CUPTI does not record", () => {
  it("are in the longest pause beside the recorded iteration, up to the launch's end", () => {
    const launch = { start: 0, end: 100 }
    const body = [inBody(12, 15), inBody(16, 20)]
    assert.deepEqual(otherIterations(launch, [own(0, 10), ...body]), [{ stream: 1, start: 20, end: 100 }])
    assert.deepEqual(otherIterations(launch, [own(0, 10), ...body, own(60, 100)]), [{ stream: 1, start: 20, end: 60 }])
    assert.deepEqual(otherIterations(launch, [own(0, 2), ...body, own(21, 100)]), [{ stream: 1, start: 2, end: 12 }])
  })

  it("are none where the pauses are shorter than half of an iteration, or lie elsewhere", () => {
    assert.deepEqual(otherIterations({ start: 0, end: 32 }, [own(0, 10), inBody(12, 20), own(23, 30)]), [])
    assert.deepEqual(otherIterations({ start: 0, end: 100 }, [own(0, 10), own(80, 100)]), [])
    const beside = [own(0, 10), inBody(12, 20), own(11, 100)]
    assert.deepEqual(otherIterations({ start: 0, end: 100 }, beside), [])
  })

  it("are those of each loop", () => {
    const nodes = [inBody(0, 4), inBody(40, 44, 8, 2)]
    assert.deepEqual(otherIterations({ start: 0, end: 60 }, nodes), [
      { stream: 1, start: 4, end: 40 },
      { stream: 2, start: 4, end: 40 },
    ])
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

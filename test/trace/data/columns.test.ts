import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { pack, unpack } from "../../../src/trace/data/columns.js"
import type { TraceData, TraceSpan, TraceWait } from "../../../src/trace/data/data.js"
import { syntheticTrace } from "../../support/synthetic-trace.js"

const throughJson = (data: TraceData) => unpack(JSON.parse(JSON.stringify(pack(data))) as ReturnType<typeof pack>)

const time = fc.integer({ min: -(2 ** 40), max: 2 ** 52 })
const index = fc.nat(1000)
const spans: fc.Arbitrary<TraceSpan> = fc.record(
  {
    stream: fc.nat(50),
    kind: fc.constantFrom("kernel", "copy", "graph", "node", "conditional"),
    name: fc.string(),
    ...{ queued: time, start: time, end: time },
    ...{ region: index, branch: index, parent: index, iteration: index, bytes: fc.nat(2 ** 30) },
    overlap: fc.record(
      {
        mode: fc.constantFrom("parallel", "sequential"),
        policy: fc.record(
          {
            name: fc.string(),
            key: fc.oneof(fc.string(), fc.nat()),
            phase: fc.constantFrom("warm-up", "measuring", "decided", "checking", "unmeasured"),
          },
          { noNullPrototype: true },
        ),
      },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ["stream", "kind", "name", "queued", "start", "end"], noNullPrototype: true },
)
const end = fc.record({ stream: fc.nat(50), time }, { noNullPrototype: true })
const waits: fc.Arbitrary<TraceWait> = fc.record(
  { from: end, to: end, sent: fc.boolean(), region: index },
  { requiredKeys: ["from", "to", "sent"], noNullPrototype: true },
)

describe("a trace as columns", () => {
  test("keeps everything, through JSON", () => {
    const empty = syntheticTrace({ spans: 0 })
    fc.assert(
      fc.property(fc.array(spans), fc.array(waits), (spans, waits) => {
        assert.deepEqual(throughJson({ ...empty, spans, waits }), { ...empty, spans, waits })
      }),
    )
    const synthetic = syntheticTrace({ spans: 500 })
    assert.deepEqual(throughJson(synthetic), synthetic)
  })

  test("rounds times to whole nanoseconds, without adding up errors", () => {
    const span = { stream: 0, kind: "kernel", name: "a", queued: 0.4 } as const
    const uneven = Array.from({ length: 100 }, (_, n) => ({ ...span, start: n * 1000.3, end: n * 1000.3 + 0.4 }))
    for (const [n, { start, end }] of throughJson({ ...syntheticTrace({ spans: 0 }), spans: uneven }).spans.entries()) {
      assert.equal(start, Math.round(n * 1000.3))
      assert.equal(end, Math.round(n * 1000.3 + 0.4))
    }
  })

  test("takes at most a third of the objects' JSON", () => {
    const data = syntheticTrace({ spans: 5000 })
    const { spans, waits } = data
    const packed = pack(data)
    const [small, large] = [
      { spans: packed.spans, waits: packed.waits, names: packed.names },
      { spans, waits },
    ]
    assert.ok(JSON.stringify(small).length * 3 < JSON.stringify(large).length)
  })
})

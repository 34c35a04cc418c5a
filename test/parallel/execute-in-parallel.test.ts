import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { executeInParallel } from "../../src/parallel/execute-in-parallel.js"
import { withMultiStream } from "../../src/parallel/multi-stream.js"
import { currentStream } from "../../src/runtime/device/current.js"
import { Recorded } from "../support/recorded.js"

function three(recorded: Recorded) {
  const second = recorded.device.createStream()
  recorded.nameStream(second, "second")
  const done2 = recorded.device.createEvent()
  recorded.nameEvent(done2, "done2")
  return { second, done2 }
}

describe("§5 rule 1, parallel order: executeInParallel", () => {
  it("queues the main function first, joins every branch at the end", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const { second, done2 } = three(recorded)
    recorded.launch(0)
    recorded.log()
    executeInParallel(
      () => recorded.launch(1),
      [() => recorded.launch(2), () => recorded.launch(3)],
      event0,
      [event1, done2],
      [aux, second],
    )
    assert.deepEqual(recorded.log(), [
      "record event0 on main",
      "launch 1 on main",
      "aux waits for event0",
      "launch 2 on aux",
      "record event1 on aux",
      "second waits for event0",
      "launch 3 on second",
      "record done2 on second",
      "main waits for event1",
      "main waits for done2",
    ])
  })

  it("several slots may share a stream", () => {
    using recorded = new Recorded()
    const { device, aux, event0, event1 } = recorded
    const { done2 } = three(recorded)
    const [, streams] = executeInParallel(
      () => {},
      [() => currentStream(device), () => currentStream(device)],
      event0,
      [event1, done2],
      [aux, aux],
    )
    assert.deepEqual(streams, [aux, aux])
  })
})

describe("§5 rules 2 and 3, sequential and results: executeInParallel", () => {
  it("an empty slot gives undefined, and its stream and event are ignored", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const { second, done2 } = three(recorded)
    second.dispose()
    recorded.log()
    const results = executeInParallel(
      () => "main",
      [null, () => "aux", undefined],
      event0,
      [null, event1, done2],
      [null, aux, second],
    )
    assert.deepEqual(results, ["main", [undefined, "aux", undefined]])
    assert.deepEqual(recorded.log(), ["record event0 on main", "record event1 on aux"])
  })

  for (const [name, run] of [
    ["no streams", (fns: (() => void)[], r: Recorded) => executeInParallel(() => r.launch(1), fns, null, [])],
    [
      "null for the streams",
      (fns: (() => void)[], r: Recorded) => executeInParallel(() => r.launch(1), fns, null, [], null),
    ],
    [
      "an empty list of streams",
      (fns: (() => void)[], r: Recorded) => executeInParallel(() => r.launch(1), fns, null, [], []),
    ],
    [
      "enable: false",
      (fns: (() => void)[], r: Recorded) =>
        executeInParallel(() => r.launch(1), fns, r.event0, [r.event1], [r.aux], { enable: false }),
    ],
    [
      "multi-stream off",
      (fns: (() => void)[], r: Recorded) =>
        withMultiStream(false, () => executeInParallel(() => r.launch(1), fns, r.event0, [r.event1], [r.aux])),
    ],
    [
      "the current stream in every slot",
      (fns: (() => void)[], r: Recorded) => executeInParallel(() => r.launch(1), fns, null, [null], [r.main]),
    ],
  ] as const) {
    it(`with ${name}, runs in sequence and touches neither event nor stream`, () => {
      using recorded = new Recorded()
      run([() => recorded.launch(2)], recorded)
      assert.deepEqual(recorded.log(), ["launch 1 on main", "launch 2 on main"])
    })
  }

  it("lengths must match in parallel mode: refused before anything is queued", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    let called = false
    const fn = () => (called = true)
    for (const [events, streams] of [
      [[event1], [aux, aux]],
      [[event1, event1], [aux]],
      [[], [aux, aux]],
    ] as const) {
      assert.throws(
        () => executeInParallel(fn, [fn, fn], event0, events, streams),
        (error) => error instanceof Error && "code" in error && error.code === "AUX_LENGTH_MISMATCH",
      )
    }
    assert.equal(called, false)
    assert.deepEqual(recorded.log(), [])
  })
})

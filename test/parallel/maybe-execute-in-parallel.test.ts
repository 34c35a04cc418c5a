import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { withMultiStream } from "../../src/parallel/multi-stream.js"
import { currentStream } from "../../src/runtime/device/current.js"
import { Recorded } from "../support/recorded.js"

describe("§5 rule 1, parallel order: maybeExecuteInParallel", () => {
  it("makes exactly these calls, the main function's first", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    recorded.launch(0)
    recorded.log()
    maybeExecuteInParallel(
      () => recorded.launch(1),
      () => recorded.launch(2),
      event0,
      event1,
      aux,
    )
    recorded.launch(3)
    assert.deepEqual(recorded.log(), [
      "record event0 on main",
      "launch 1 on main",
      "aux waits for event0",
      "launch 2 on aux",
      "record event1 on aux",
      "main waits for event1",
      "launch 3 on main",
    ])
  })

  it("forks from and joins the stream that is current at the call", () => {
    using recorded = new Recorded()
    const side = recorded.device.createStream()
    recorded.nameStream(side, "side")
    const { aux, event0, event1 } = recorded
    side.run(() => {
      recorded.launch(0)
      maybeExecuteInParallel(
        () => {},
        () => recorded.launch(1),
        event0,
        event1,
        aux,
      )
    })
    assert.deepEqual(recorded.log(), [
      "launch 0 on side",
      "record event0 on side",
      "aux waits for event0",
      "launch 1 on aux",
      "record event1 on aux",
      "side waits for event1",
    ])
  })

  it("always sends records, and sends a wait only if it adds to the clock (§6, elision)", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const run = () =>
      maybeExecuteInParallel(
        () => {},
        () => {},
        event0,
        event1,
        aux,
      )
    run()
    assert.deepEqual(recorded.log(), ["record event0 on main", "record event1 on aux"])
    recorded.launch(0)
    recorded.log()
    run()
    assert.deepEqual(recorded.log(), ["record event0 on main", "aux waits for event0", "record event1 on aux"])
    run()
    assert.deepEqual(recorded.log(), ["record event0 on main", "record event1 on aux"])
  })

  it("makes each function's stream current, and restores the one before", () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    const seen = maybeExecuteInParallel(
      () => currentStream(device),
      () => currentStream(device),
      event0,
      event1,
      aux,
    )
    assert.deepEqual(seen, [main, aux])
    assert.equal(currentStream(device), main)
  })
})

describe("§5 rule 2, sequential: maybeExecuteInParallel", () => {
  const twoLaunches = ["launch 1 on main", "launch 2 on main"]

  for (const [name, aux] of [
    ["null", () => null],
    ["undefined", () => undefined],
    ["the current stream", (recorded: Recorded) => recorded.main],
  ] as const) {
    it(`with ${name} for the aux stream, calls fn0 and then fn1 and touches neither event nor stream`, () => {
      using recorded = new Recorded()
      const results = maybeExecuteInParallel(
        () => recorded.launch(1),
        () => recorded.launch(2),
        null,
        null,
        aux(recorded),
      )
      assert.deepEqual(recorded.log(), twoLaunches)
      assert.deepEqual(results, [undefined, undefined])
    })
  }

  it("with multi-stream off, touches neither event nor stream", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    withMultiStream(false, () =>
      maybeExecuteInParallel(
        () => recorded.launch(1),
        () => recorded.launch(2),
        event0,
        event1,
        aux,
      ),
    )
    assert.deepEqual(recorded.log(), twoLaunches)
  })

  it("with multi-stream off, accepts disposed events and streams, too", () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    for (const thing of [aux, event0, event1]) thing.dispose()
    recorded.log()
    withMultiStream(false, () =>
      maybeExecuteInParallel(
        () => recorded.launch(1),
        () => recorded.launch(2),
        event0,
        event1,
        aux,
      ),
    )
    assert.deepEqual(recorded.log(), twoLaunches)
  })

  it("needs no device at all", () => {
    assert.deepEqual(
      maybeExecuteInParallel(
        () => 1,
        () => "a",
        null,
        null,
      ),
      [1, "a"],
    )
  })
})

describe("§5 rule 3, results: maybeExecuteInParallel", () => {
  it("returns them unchanged and in order, in both modes", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const one = { deep: [1] }
    for (const stream of [aux, null]) {
      const now = maybeExecuteInParallel(
        () => one,
        () => null,
        event0,
        event1,
        stream,
      )
      assert.equal(now[0], one)
      assert.equal(now[1], null)
      const later = maybeExecuteInParallel(
        () => one,
        async () => 2,
        event0,
        event1,
        stream,
      )
      assert.ok(later instanceof Promise)
      assert.deepEqual(await later, [one, 2])
    }
  })
})

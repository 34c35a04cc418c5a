import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { describe, it } from "node:test"
import { fork } from "../../src/parallel/fork.js"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { isMultiStreamEnabled, withMultiStream } from "../../src/parallel/multi-stream.js"
import { parallel } from "../../src/parallel/parallel.js"
import { currentStream } from "../../src/runtime/device/current.js"
import { Recorded } from "../support/recorded.js"

describe("§5 rule 7, nesting and reuse", () => {
  it("a call inside fn0 with the same events does not replace the outer record", () => {
    using recorded = new Recorded()
    const { device, aux, event0, event1 } = recorded
    const inner = device.createStream()
    recorded.nameStream(inner, "inner")
    recorded.launch(0)
    recorded.log()
    maybeExecuteInParallel(
      () =>
        maybeExecuteInParallel(
          () => recorded.launch(1),
          () => recorded.launch(2),
          event0,
          event1,
          inner,
        ),
      () => recorded.launch(3),
      event0,
      event1,
      aux,
    )
    assert.deepEqual(recorded.log(), [
      "record event0 on main",
      "record another event on main",
      "launch 1 on main",
      "inner waits for another event",
      "launch 2 on inner",
      "record event1 on inner",
      "main waits for event1",
      "aux waits for event0",
      "launch 3 on aux",
      "record event1 on aux",
      "main waits for event1",
    ])
  })

  it("a call inside fn1 forks from the aux stream and joins it", () => {
    using recorded = new Recorded()
    const { device, aux, event0, event1 } = recorded
    const inner = device.createStream()
    recorded.nameStream(inner, "inner")
    maybeExecuteInParallel(
      () => {},
      () => {
        recorded.launch(1)
        maybeExecuteInParallel(
          () => recorded.launch(2),
          () => recorded.launch(3),
          event0,
          event1,
          inner,
        )
      },
      event0,
      event1,
      aux,
    )
    const log = recorded.log()
    assert.ok(log.indexOf("launch 2 on aux") < log.indexOf("launch 3 on inner"))
    assert.match(log[log.indexOf("launch 3 on inner") - 1] ?? "", /^inner waits for/)
    assert.match(log[log.indexOf("launch 3 on inner") + 2] ?? "", /^aux waits for/)
    assert.equal(log.at(-1), "main waits for event1")
  })

  it("a call inside fn1 on the aux stream itself runs in sequence there", () => {
    using recorded = new Recorded()
    const { device, aux, event0, event1 } = recorded
    const streams = maybeExecuteInParallel(
      () => [],
      () =>
        maybeExecuteInParallel(
          () => currentStream(device),
          () => currentStream(device),
          event0,
          event1,
          aux,
        ),
      event0,
      event1,
      aux,
    )[1]
    assert.deepEqual(streams, [aux, aux])
  })

  it("concurrent async calls with one pair of events and one aux stream each join their own work", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const call = (label: number) =>
      maybeExecuteInParallel(
        async () => {
          await turn()
          recorded.launch(label)
        },
        async () => {
          await turn()
          recorded.launch(label + 1)
        },
        event0,
        event1,
        aux,
      )
    await Promise.all([call(10), call(20), call(30)])
    const log = recorded.log()
    for (const label of [11, 21, 31]) {
      const launched = log.indexOf(`launch ${label} on aux`)
      assert.ok(launched >= 0)
      assert.ok(log.slice(launched).some((line) => line.startsWith("main waits for")))
    }
  })

  it("one event may serve as both", () => {
    using recorded = new Recorded()
    const { aux, event0 } = recorded
    recorded.launch(0)
    recorded.log()
    maybeExecuteInParallel(
      () => {},
      () => recorded.launch(1),
      event0,
      event0,
      aux,
    )
    const log = recorded.log()
    assert.equal(log.length, 5)
    assert.match(log[4] ?? "", /^main waits for/)
  })

  it("consecutive layers reuse one pool stream and its events", () => {
    using recorded = new Recorded()
    const { device, main, recording } = recorded
    const streams = new Set<number>()
    const layer = () => {
      parallel([() => recorded.launch(1), () => streams.add(currentStream(device).id)])
      fork(() => streams.add(currentStream(device).id)).join()
    }
    // The events of the last 16 joined forks keep their records.
    for (let i = 0; i < 20; i++) main.run(layer)
    recording.take()
    for (let i = 0; i < 60; i++) main.run(layer)
    assert.equal(streams.size, 1)
    assert.deepEqual(recording.take("streams.create", "events.create"), [], "no stream or event was created")
  })
})

describe("withMultiStream", () => {
  it("is on by default, nests, and is restored after a throw", () => {
    assert.equal(isMultiStreamEnabled(), true)
    withMultiStream(false, () => {
      assert.equal(isMultiStreamEnabled(), false)
      withMultiStream(true, () => assert.equal(isMultiStreamEnabled(), true))
      assert.throws(() =>
        withMultiStream(true, () => {
          throw new Error("inside")
        }),
      )
      assert.equal(isMultiStreamEnabled(), false)
    })
    assert.equal(isMultiStreamEnabled(), true)
  })

  it("follows await", async () => {
    await withMultiStream(false, async () => {
      await turn()
      assert.equal(isMultiStreamEnabled(), false)
    })
    assert.equal(isMultiStreamEnabled(), true)
  })

  it("and the current stream are independent", () => {
    using recorded = new Recorded()
    const { device, aux } = recorded
    withMultiStream(false, () =>
      aux.run(() => {
        assert.equal(isMultiStreamEnabled(), false)
        withMultiStream(true, () => assert.equal(currentStream(device), aux))
      }),
    )
  })
})

import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { after, before, describe, it } from "node:test"
import { executeInParallel } from "../../src/parallel/execute-in-parallel.js"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { currentStream } from "../../src/runtime/device/current.js"
import { Recorded } from "../support/recorded.js"

const fail = (error: unknown) => (): never => {
  throw error
}

describe("§5 rule 5, errors", () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  before(() => process.on("unhandledRejection", note))
  after(async () => {
    await turn()
    process.off("unhandledRejection", note)
    assert.deepEqual(unhandled, [], "every rejection is handled")
  })

  it("fn0 throws: fn1 is not called, and the error is rethrown unchanged", () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    const error = new Error("first")
    let called = false
    assert.throws(
      () => maybeExecuteInParallel(fail(error), () => (called = true), event0, event1, aux),
      (thrown) => thrown === error,
    )
    assert.equal(called, false)
    assert.equal(currentStream(device), main)
  })

  it("fn1 throws: the join still happens, the current stream is restored, and the error is rethrown unchanged", () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    for (const error of [new Error("second"), "a string", undefined, Object.freeze(new Error("frozen"))]) {
      recorded.launch(0)
      recorded.log()
      assert.throws(
        () =>
          maybeExecuteInParallel(
            () => {},
            () => {
              recorded.launch(1)
              throw error
            },
            event0,
            event1,
            aux,
          ),
        (thrown) => thrown === error,
      )
      assert.deepEqual(recorded.log(), [
        "record event0 on main",
        "aux waits for event0",
        "launch 1 on aux",
        "record event1 on aux",
        "main waits for event1",
      ])
      assert.equal(currentStream(device), main)
    }
  })

  it("a thenable whose `then` throws counts as rejected: the call waits for the other function, and joins", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const error = new Error("no constructor")
    const strange = Object.defineProperty(Promise.resolve(1), "constructor", { get: fail(error) })
    const calls = [
      (fn0: () => unknown, fn1: () => unknown) => maybeExecuteInParallel(fn0, fn1, event0, event1, aux),
      (fn0: () => unknown, fn1: () => unknown) => executeInParallel(fn0, [fn1], event0, [event1], [aux]),
    ]
    for (const call of calls) {
      recorded.log()
      const result = call(
        () => strange,
        async () => {
          await turn()
          recorded.launch(1)
        },
      )
      await assert.rejects(async () => result, error)
      assert.deepEqual(recorded.log().slice(-3), ["launch 1 on aux", "record event1 on aux", "main waits for event1"])
    }
  })

  it("once a thenable was returned, nothing is thrown synchronously: the promise waits for both, joins, then rejects", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const error = new Error("second")
    let ended = false
    const promise = maybeExecuteInParallel(
      async () => {
        await turn()
        recorded.launch(1)
        ended = true
      },
      () => {
        recorded.launch(2)
        throw error
      },
      event0,
      event1,
      aux,
    )
    await assert.rejects(promise, (thrown) => thrown === error)
    assert.ok(ended)
    assert.deepEqual(recorded.log(), [
      "record event0 on main",
      "launch 2 on aux",
      "launch 1 on main",
      "record event1 on aux",
      "main waits for event1",
    ])
  })

  it("fn0 rejects while fn1 succeeds: fn1's work is joined", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const error = new Error("first")
    const promise = maybeExecuteInParallel(
      async () => {
        throw error
      },
      () => recorded.launch(2),
      event0,
      event1,
      aux,
    )
    await assert.rejects(promise, (thrown) => thrown === error)
    assert.deepEqual(recorded.log().slice(-2), ["record event1 on aux", "main waits for event1"])
  })

  it("both fail: an AggregateError of both, in order", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    const [first, second] = [new Error("first"), new Error("second")]
    const later = async (error: Error, turns: number) => {
      for (let i = 0; i < turns; i++) await turn()
      throw error
    }
    const promise = maybeExecuteInParallel(
      () => later(first, 3),
      () => later(second, 0),
      event0,
      event1,
      aux,
    )
    await assert.rejects(promise, (thrown) => {
      assert.ok(thrown instanceof AggregateError)
      assert.deepEqual(thrown.errors, [first, second])
      return true
    })
  })

  it("sequential: fn0 rejects, fn1 is not called", async () => {
    const error = new Error("first")
    let called = false
    const promise = maybeExecuteInParallel(
      async () => {
        throw error
      },
      () => (called = true),
      null,
      null,
    )
    await assert.rejects(promise, (thrown) => thrown === error)
    assert.equal(called, false)
  })

  it("N-way: after a throw, later functions are not called, and started ones are joined", () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    const [second, third] = [device.createStream(), device.createStream()]
    recorded.nameStream(second, "second")
    const [done2, done3] = [device.createEvent(), device.createEvent()]
    recorded.nameEvent(done2, "done2")
    const error = new Error("in the middle")
    let called = false
    assert.throws(
      () =>
        executeInParallel(
          () => {},
          [
            () => recorded.launch(1),
            () => {
              recorded.launch(2)
              throw error
            },
            () => (called = true),
          ],
          event0,
          [event1, done2, done3],
          [aux, second, third],
        ),
      (thrown) => thrown === error,
    )
    assert.equal(called, false)
    assert.deepEqual(recorded.log(), [
      "record event0 on main",
      "launch 1 on aux",
      "record event1 on aux",
      "launch 2 on second",
      "record done2 on second",
      "main waits for event1",
      "main waits for done2",
    ])
    assert.equal(currentStream(device), main)
  })

  for (const name of ["events.record", "streams.wait"] as const) {
    it(`a join whose ${name} fails does not hide the first error, but is attached to it`, () => {
      using recorded = new Recorded()
      const { aux, event0, event1, recording } = recorded
      const [error, joinError] = [new Error("of fn1"), new Error(`of ${name}`)]
      // Two records fail: the one right after fn1, and the repeated one of the join.
      assert.throws(
        () =>
          maybeExecuteInParallel(
            () => {},
            () => {
              recorded.launch(1)
              recording.failAt(name, 1, joinError)
              if (name === "events.record") recording.failAt(name, 1, joinError)
              throw error
            },
            event0,
            event1,
            aux,
          ),
        (thrown) => thrown === error && "joinErrors" in error,
      )
      assert.deepEqual(Object.getOwnPropertyDescriptor(error, "joinErrors")?.value, [joinError])
    })
  }

  it("one error that the functions and the join throw, such as that of a lost device, is thrown itself, once", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1, recording } = recorded
    const error = new Error("of everything")
    const fail = () => {
      for (const name of ["events.record", "streams.wait"] as const) recording.failAt(name, 1, error)
      throw error
    }
    const failLater = async () => {
      await Promise.resolve()
      fail()
    }
    assert.throws(
      () => maybeExecuteInParallel(() => {}, fail, event0, event1, aux),
      (thrown) => thrown === error,
    )
    assert.equal("joinErrors" in error, false)
    recording.forgetFailures()
    await assert.rejects(
      maybeExecuteInParallel(failLater, failLater, event0, event1, aux),
      (thrown) => thrown === error,
    )
    assert.equal("joinErrors" in error, false)
    recording.forgetFailures()
  })

  it("the error of a join after success is thrown", () => {
    using recorded = new Recorded()
    const { aux, event0, event1, recording } = recorded
    const joinError = new Error("of the join")
    assert.throws(
      () =>
        maybeExecuteInParallel(
          () => {},
          () => {
            recorded.launch(1)
            recording.failAt("streams.wait", 1, joinError)
          },
          event0,
          event1,
          aux,
        ),
      (thrown) => thrown === joinError,
    )
  })

  it("whichever driver call of a fork-join fails, the streams stay usable and the next call succeeds", () => {
    for (const name of ["events.record", "streams.wait", "kernels.launch"] as const) {
      for (let nth = 1; nth <= 2; nth++) {
        using recorded = new Recorded()
        const { device, main, aux, event0, event1, recording } = recorded
        const run = () =>
          maybeExecuteInParallel(
            () => recorded.launch(1),
            () => recorded.launch(2),
            event0,
            event1,
            aux,
          )
        recorded.launch(0)
        recording.failAt(name, nth, new Error("on demand"))
        try {
          run()
        } catch (error) {
          assert.match(String(error), /on demand/)
        }
        recorded.log()
        assert.equal(currentStream(device), main)
        run()
        assert.deepEqual(recorded.log(), [
          "record event0 on main",
          "launch 1 on main",
          "aux waits for event0",
          "launch 2 on aux",
          "record event1 on aux",
          "main waits for event1",
        ])
        device.synchronize()
      }
    }
  })
})

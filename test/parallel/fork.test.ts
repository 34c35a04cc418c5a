import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { describe, it } from "node:test"
import { fork } from "../../src/parallel/fork.js"
import { withMultiStream } from "../../src/parallel/multi-stream.js"
import { parallel } from "../../src/parallel/parallel.js"
import { DisposedError } from "../../src/common/errors.js"
import { currentStream } from "../../src/runtime/device/current.js"
import { Recorded } from "../support/recorded.js"

describe("§5 rule 11, fork", () => {
  it("waits for the current stream, starts at once, and is joined later by the current stream", () => {
    using recorded = new Recorded()
    const { device, main, aux } = recorded
    recorded.launch(0)
    main.run(() => {
      const forked = fork(
        () => {
          recorded.launch(1)
          return "result"
        },
        { stream: aux },
      )
      assert.equal(forked.stream, aux)
      recorded.launch(2)
      assert.equal(forked.join(), "result")
      recorded.launch(3)
    })
    assert.equal(currentStream(device), main)
    assert.deepEqual(recorded.log(), [
      "launch 0 on main",
      "record another event on main",
      "aux waits for another event",
      "launch 1 on aux",
      "record another event on aux",
      "launch 2 on main",
      "main waits for another event",
      "launch 3 on main",
    ])
  })

  it("join does not wait for work queued on its stream after its function", () => {
    using recorded = new Recorded()
    const { main, aux, device } = recorded
    using first = fork(() => recorded.launch(1), { stream: aux })
    using second = fork(() => recorded.launch(2), { stream: aux })
    main.run(() => first.join())
    assert.equal(aux.state.clock.isBefore(main.state), false)
    main.run(() => second.join())
    assert.equal(aux.state.clock.isBefore(main.state), true)
    device.synchronize()
  })

  it("a second join gives the same result, and makes another stream wait", () => {
    using recorded = new Recorded()
    const { device, aux } = recorded
    const side = device.createStream()
    const result = {}
    const forked = fork(
      () => {
        recorded.launch(1)
        return result
      },
      { stream: aux },
    )
    assert.equal(forked.join(), result)
    recorded.log()
    assert.equal(forked.join(), result)
    assert.deepEqual(recorded.log(), [], "the stream has joined already")
    assert.equal(aux.state.clock.isBefore(side.state), false)
    side.run(() => assert.equal(forked.join(), result))
    assert.equal(aux.state.clock.isBefore(side.state), true)
  })

  it("a synchronous throw joins and is rethrown", () => {
    using recorded = new Recorded()
    const { main, aux } = recorded
    const error = new Error("in the fork")
    assert.throws(
      () =>
        fork(
          () => {
            recorded.launch(1)
            throw error
          },
          { stream: aux },
        ),
      (thrown) => thrown === error,
    )
    assert.equal(aux.state.clock.isBefore(main.state), true)
  })

  it("join() of an async fork is a promise; the stream joins when the function has settled", async () => {
    using recorded = new Recorded()
    const { main, aux } = recorded
    const forked = fork(
      async () => {
        await turn()
        recorded.launch(1)
        return 5
      },
      { stream: aux },
    )
    const joined = forked.join()
    assert.ok(joined instanceof Promise)
    assert.equal(await joined, 5)
    assert.equal(aux.state.clock.isBefore(main.state), true)
    assert.equal(await forked.join(), 5)
  })

  it("an async fork's error is held for join, and the join still happens", async () => {
    using recorded = new Recorded()
    const { main, aux } = recorded
    const error = new Error("held")
    const forked = fork(
      async () => {
        recorded.launch(1)
        throw error
      },
      { stream: aux },
    )
    for (let i = 0; i < 3; i++) await turn() // An unhandled rejection would end the process here.
    await assert.rejects(forked.join(), (thrown) => thrown === error)
    await assert.rejects(forked.join(), (thrown) => thrown === error)
    assert.equal(aux.state.clock.isBefore(main.state), true)
  })

  it("disposing makes the current stream join once; a later join is refused", () => {
    using recorded = new Recorded()
    const { main, aux } = recorded
    const forked = fork(() => recorded.launch(1), { stream: aux })
    forked.dispose()
    assert.equal(aux.state.clock.isBefore(main.state), true)
    forked.dispose()
    assert.throws(() => forked.join(), DisposedError)
  })

  it("with multi-stream off, or on the current stream, runs at once on the current stream", () => {
    using recorded = new Recorded()
    const { main, aux } = recorded
    withMultiStream(false, () => assert.equal(fork(() => recorded.launch(1), { stream: aux }).stream, main))
    assert.equal(fork(() => recorded.launch(2), { stream: main }).stream, main)
    assert.deepEqual(recorded.log(), ["launch 1 on main", "launch 2 on main"])
  })

  it("another stream can still join a fork that ran on the current stream", () => {
    using recorded = new Recorded()
    const { device, main } = recorded
    const side = device.createStream()
    const forked = withMultiStream(false, () => main.run(() => fork(() => recorded.launch(1))))
    side.run(() => forked.join())
    assert.equal(main.state.clock.isBefore(side.state), true)
  })
})

describe("parallel", () => {
  it("runs the first function on the current stream and the others on pool streams, and joins them at the end", () => {
    using recorded = new Recorded()
    const { device, main } = recorded
    const results = main.run(() =>
      parallel([() => currentStream(device), () => currentStream(device), () => currentStream(device)]),
    )
    assert.equal(results[0], main)
    assert.equal(new Set(results).size, 3)
  })

  it("takes promises, empty lists, one function and { enable: false }", async () => {
    using recorded = new Recorded()
    const { device, main } = recorded
    const all = await main.run(() => parallel([() => 1, async () => "x"]))
    assert.deepEqual(all, [1, "x"])
    assert.deepEqual(parallel([]), [])
    assert.deepEqual(parallel([() => 1]), [1])
    const streams = main.run(() =>
      parallel([() => currentStream(device), () => currentStream(device)], { enable: false }),
    )
    assert.deepEqual(streams, [main, main])
  })

  it("returns its streams to the pool after a throw and after a rejection", async () => {
    using recorded = new Recorded()
    const { main, recording } = recorded
    const error = new Error("inside")
    const throwing = (): never => {
      throw error
    }
    for (let i = 0; i < 5; i++) {
      assert.throws(() => main.run(() => parallel([() => {}, throwing])), error)
      assert.throws(() => main.run(() => parallel([throwing, () => {}])), error)
      await assert.rejects(
        main.run(() => parallel([async () => {}, throwing])),
        error,
      )
    }
    assert.equal(recording.take("streams.create").length, 1)
  })
})

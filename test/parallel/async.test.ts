import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { describe, it } from "node:test"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { currentStream } from "../../src/runtime/device/current.js"
import type { Stream } from "../../src/runtime/device/stream.js"
import { Recorded } from "../support/recorded.js"

describe("§5 rule 4, async functions", () => {
  it("keep their own stream current across every await", async () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    const look = async () => {
      const seen: Stream[] = []
      for (let i = 0; i < 3; i++) {
        seen.push(currentStream(device))
        await turn()
      }
      return [...seen, currentStream(device)]
    }
    const [first, second] = await maybeExecuteInParallel(look, look, event0, event1, aux)
    assert.deepEqual(first, [main, main, main, main])
    assert.deepEqual(second, [aux, aux, aux, aux])
    assert.equal(currentStream(device), main)
  })

  it("records and waits for event1 in one step, after both have settled", async () => {
    using recorded = new Recorded()
    const { aux, event0, event1 } = recorded
    let finish = () => {}
    const gate = new Promise<void>((resolve) => (finish = resolve))
    const done = maybeExecuteInParallel(
      async () => {
        await gate
        recorded.launch(1)
      },
      async () => recorded.launch(2),
      event0,
      event1,
      aux,
    )
    await turn()
    assert.deepEqual(recorded.log(), ["record event0 on main", "launch 2 on aux"])
    finish()
    await done
    assert.deepEqual(recorded.log(), ["launch 1 on main", "record event1 on aux", "main waits for event1"])
  })

  it("the stream that was current at the call joins, wherever the functions end", async () => {
    using recorded = new Recorded()
    const side = recorded.device.createStream()
    recorded.nameStream(side, "side")
    const { aux, event0, event1 } = recorded
    const done = side.run(() =>
      maybeExecuteInParallel(
        () => {},
        async () => {
          await turn()
          recorded.launch(1)
        },
        event0,
        event1,
        aux,
      ),
    )
    await done
    assert.deepEqual(recorded.log().slice(-3), ["launch 1 on aux", "record event1 on aux", "side waits for event1"])
  })

  for (const parallel of [true, false]) {
    it(`adopt a lazy thenable exactly once, immediately, on its function's stream (${parallel ? "parallel" : "sequential"})`, async () => {
      using recorded = new Recorded()
      const { device, main, aux, event0, event1 } = recorded
      const started: [string, Stream][] = []
      /** Starts at the first call of `then`, as a query builder does. */
      class Lazy implements PromiseLike<string> {
        readonly #name: string
        constructor(name: string) {
          this.#name = name
        }
        then<R>(resolve?: ((value: string) => R | PromiseLike<R>) | null): Promise<R> {
          started.push([this.#name, currentStream(device)])
          return Promise.resolve(this.#name).then(resolve)
        }
      }
      const promise: PromiseLike<unknown> = maybeExecuteInParallel(
        () => new Lazy("first"),
        () => new Lazy("second"),
        event0,
        event1,
        parallel ? aux : null,
      )
      assert.equal(started.length, parallel ? 2 : 1, "started before the call returned")
      assert.deepEqual(await promise, ["first", "second"])
      assert.deepEqual(started, [
        ["first", main],
        ["second", parallel ? aux : main],
      ])
    })
  }

  it("in sequential mode, fn1 is called once fn0 has settled", async () => {
    const order: string[] = []
    await maybeExecuteInParallel(
      async () => {
        await turn()
        order.push("fn0 ends")
      },
      () => order.push("fn1"),
      null,
      null,
    )
    assert.deepEqual(order, ["fn0 ends", "fn1"])
  })
})

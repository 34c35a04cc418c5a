import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { describe, test } from "node:test"
import {
  captureGraph,
  defineKernel,
  executeInParallel,
  maybeExecuteInParallel,
  measuredOverlap,
  type OverlapKey,
  parallel,
} from "../../src/index.js"
import { counted } from "./counted.js"
import { TimedDevice } from "./timed-device.js"

const alternating = ["parallel", "sequential", "sequential", "parallel"]

describe("§14: measuredOverlap", () => {
  test("alternates three calls each way, then at most 16 each way, looks again in runs if that favours the sequential mode, and decides", async () => {
    for (const faster of ["parallel", "sequential"] as const) {
      using timed = new TimedDevice()
      timed.truth = { parallel: 100, sequential: 100, [faster]: 97 } // too close for an early decision
      const policy = measuredOverlap({ name: "test" })
      for (let call = 0; call < 38; call++) {
        timed.call(policy, 1)
        await turn()
      }
      const warmUp = Array.from({ length: 6 }, (_, call) => `warm-up ${call % 2 === 0 ? "parallel" : "sequential"}`)
      const measuring = Array.from({ length: 32 }, (_, call) => `measuring ${alternating[call % 4]}`)
      assert.deepEqual(timed.take(), [...warmUp, ...measuring])
      if (faster === "sequential") {
        for (let call = 0; call < 36; call++) {
          timed.call(policy, 1)
          await turn()
        }
        const runs = ["parallel", "sequential", "sequential", "parallel"].flatMap((mode) =>
          Array.from({ length: 9 }, () => `measuring ${mode}`),
        )
        assert.deepEqual(timed.take(), runs)
      }
      timed.calls(20, policy, 1)
      assert.deepEqual(
        timed.take(),
        Array.from({ length: 20 }, () => `decided ${faster}`),
      )
      assert.equal(policy.decisions[0]?.pairs, 16)
    }
  })

  test("decides after six pairs that agree on a large difference", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    assert.equal(await timed.decide(policy, 1), "parallel")
    assert.equal(policy.decisions[0]?.pairs, 6)
    assert.deepEqual(
      [policy.decisions[0]?.parallel, policy.decisions[0]?.sequential].map(Math.round as () => number),
      [100, 200],
    )
  })

  test("decides for each key apart, and a number is another key than its digits", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    await timed.decide(policy, 1)
    timed.truth = { parallel: 200, sequential: 100 }
    await timed.decide(policy, "1")
    assert.deepEqual(
      policy.decisions.map(({ key, mode }) => [key, mode]),
      [
        [1, "parallel"],
        ["1", "sequential"],
      ],
    )
  })

  test("decides in a program that never leaves its turn of the event loop, too", () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    timed.calls(60, policy, 1)
    assert.equal(policy.decisions[0]?.mode, "parallel")
  })

  test("never waits: while times are not known, calls run in parallel, unmeasured", async () => {
    using timed = new TimedDevice()
    timed.isReady = false
    const policy = measuredOverlap({ name: "test" })
    timed.calls(38, policy, 1)
    await turn()
    timed.take()
    timed.calls(50, policy, 1)
    assert.deepEqual(new Set(timed.take()), new Set(["unmeasured parallel"]))
    timed.isReady = true
    timed.calls(10, policy, 1)
    assert.ok(timed.take().includes("decided parallel"))
  })

  test("reads times in batches outside of calls", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    const readsBefore: number[] = []
    const within = () => readsBefore.push(timed.reads)
    timed.calls(6, policy, 1)
    for (let call = 0; call < 6; call++) timed.call(policy, 1, within, within)
    assert.deepEqual(new Set(readsBefore), new Set([0]))
    await turn()
    assert.equal(timed.reads, 6)
  })

  test("a policy that nothing measures any more does not keep the process alive, and records nothing", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    await timed.decide(policy, 1)
    const before = timed.records
    timed.calls(40, policy, 1)
    assert.equal(timed.records, before)
  })

  test("a call that throws does not count, and its error is thrown as it was", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    timed.calls(6, policy, 1)
    await turn()
    timed.take()
    const failure = new Error("mine")
    const fail = () => {
      throw failure
    }
    timed.call(policy, 1)
    for (let call = 0; call < 3; call++) assert.throws(() => timed.call(policy, 1, fail), failure)
    timed.calls(2, policy, 1)
    assert.deepEqual(timed.take(), [
      "measuring parallel",
      "measuring sequential", // throws, so the pair is begun anew
      "measuring sequential", // throws
      "measuring sequential", // throws
      "measuring sequential",
      "measuring parallel",
    ])
    await turn()
    assert.equal(timed.reads, 3)
  })

  test("a key whose every second call throws is unmeasurable after a while", () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    const failure = new Error("mine")
    const fail = () => {
      throw failure
    }
    for (let call = 0; call < 600; call++) {
      if (call % 2 === 0) timed.call(policy, 1)
      else assert.throws(() => timed.call(policy, 1, fail), failure)
    }
    assert.equal(policy.decisions[0]?.state, "unmeasurable")
  })

  test("a call that loads a kernel does not count", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    timed.calls(6, policy, 1)
    await turn()
    const fresh = defineKernel({ name: "fresh", signature: [], host: { source: "export function fresh() {}" } })
    const load = () => fresh.launch({ grid: 1, block: 1, stream: timed.device.defaultStream })
    const records = timed.records
    timed.call(policy, 1, load)
    await turn()
    assert.equal(timed.records, records + 2)
    assert.equal(timed.reads, 0)
    timed.call(policy, 1, load)
    await turn()
    assert.equal(timed.reads, 1)
  })

  test("a call beside work that strangers queued on the aux stream does not count", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    timed.calls(6, policy, 1)
    await turn()
    const stranger = timed.aux.run(() => timed.device.zeros("float32", 4))
    timed.call(policy, 1)
    await turn()
    assert.equal(timed.reads, 0)
    timed.call(policy, 1) // The call before has joined the aux stream.
    await turn()
    assert.equal(timed.reads, 1)
    stranger.dispose()
  })

  test("async calls run in parallel, unmeasured", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    for (let call = 0; call < 20; call++) await timed.call(policy, 1, async () => turn())
    assert.deepEqual(new Set(timed.take()), new Set(["warm-up parallel", "unmeasured parallel"]))
    assert.equal(policy.decisions[0]?.state, "async")
    assert.equal(timed.reads, 0)
  })

  test("inside a measured call, another policy uses its decision, otherwise runs in parallel", async () => {
    using timed = new TimedDevice()
    const [outer, decided, fresh] = ["outer", "decided", "fresh"].map((name) => measuredOverlap({ name }))
    assert.ok(outer !== undefined && decided !== undefined && fresh !== undefined)
    timed.truth = { parallel: 200, sequential: 100 }
    await timed.decide(decided, 1)
    timed.calls(6, outer, 1)
    await turn()
    timed.take()
    const seen: string[] = []
    timed.call(outer, 1, () => {
      const { reads, records } = timed
      timed.take()
      timed.call(decided, 1)
      timed.call(fresh, 1)
      seen.push(...timed.take())
      assert.deepEqual([timed.reads, timed.records], [reads, records])
    })
    assert.deepEqual(seen, ["decided sequential", "unmeasured parallel"])
  })

  test("checks a decision rarely, and changes it once the machine has changed", async () => {
    using timed = new TimedDevice()
    timed.truth = { parallel: 100, sequential: 110 }
    timed.calls(1000, measuredOverlap({ name: "other" }), 1) // so that code is warm, and nothing is measured again
    const policy = measuredOverlap({ name: "test" })
    await timed.decide(policy, 1)
    timed.take()
    timed.calls(150, policy, 1)
    const checks = timed.take().filter((message) => message.startsWith("checking"))
    assert.deepEqual(checks, [
      ...Array.from({ length: 2 }, () => "checking parallel"),
      ...Array.from({ length: 4 }, () => "checking sequential"),
    ])
    timed.truth = { parallel: 120, sequential: 110 }
    let calls = 0
    while (policy.decisions[0]?.mode === "parallel") {
      timed.call(policy, 1)
      if (++calls % 8 === 0) await turn()
      assert.ok(calls < 2000)
    }
    assert.equal(policy.decisions[0]?.changes, 1)
  })

  test("the first three reasons come before the policy's, and its message says that the call was unmeasured", () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "mine" })
    const { device, event0, event1, aux, messages } = timed
    const options = { overlap: policy, key: "k" }
    const noop = () => {}
    maybeExecuteInParallel(noop, noop, null, null, null, options)
    maybeExecuteInParallel(noop, noop, event0, event1, device.defaultStream, options)
    executeInParallel(noop, [noop], null, [], [], options)
    executeInParallel(noop, [noop], event0, [event1], [aux], { ...options, enable: false })
    device.defaultStream.run(() => parallel([noop], options))
    assert.deepEqual(
      messages.map(({ mode, reason, policy }) => [mode, reason, policy]),
      ["no-aux-stream", "same-stream", "no-aux-stream", "disabled", "no-aux-stream"].map((reason) => [
        "sequential",
        reason,
        { name: "mine", key: "k", phase: "unmeasured" },
      ]),
    )
    assert.equal(timed.records, 0)
  })

  test("decides for executeInParallel and parallel, all functions or none", async () => {
    using timed = new TimedDevice()
    timed.truth = { parallel: 200, sequential: 100 }
    const policy = measuredOverlap({ name: "test" })
    const { device, event0, event1, aux, messages } = timed
    const order: number[] = []
    const [fn0, fn1, fn2] = [0, 1, 2].map((index) => () => order.push(index))
    assert.ok(fn0 !== undefined && fn1 !== undefined && fn2 !== undefined)
    const done2 = device.createEvent()
    for (const call of [
      () => executeInParallel(fn0, [fn1, fn2], event0, [event1, done2], [aux, aux], { overlap: policy, key: "N" }),
      () => device.defaultStream.run(() => parallel([fn0, fn1, fn2], { overlap: policy, key: "pool" })),
    ]) {
      for (let count = 0; count < 80; count++) {
        call()
        await turn()
      }
      assert.deepEqual(messages.at(-1)?.mode, "sequential")
      assert.equal(messages.at(-1)?.reason, "policy")
      assert.deepEqual(messages.at(-1)?.streams, [device.defaultStream])
      assert.deepEqual(order.splice(0).slice(-3), [0, 1, 2])
    }
    assert.deepEqual(
      policy.decisions.map(({ key, mode }) => [key, mode]),
      [
        ["N", "sequential"],
        ["pool", "sequential"],
      ],
    )
  })

  test("nothing is timed inside a capture: the call runs in parallel, and the eager key is not touched", () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    using graph = captureGraph(() => void timed.call(policy, 1), { device: timed.device })
    assert.equal(graph.nodeCount, 0)
    assert.deepEqual(timed.take(), ["unmeasured parallel"])
    assert.deepEqual([timed.records, policy.decisions.length], [0, 0])
  })

  test("nothing is timed while a capture is open elsewhere", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    let end = () => {}
    const gate = new Promise<void>((resolve) => (end = resolve))
    const capture = captureGraph(async () => gate, { device: timed.device })
    timed.calls(5, policy, 1)
    assert.deepEqual(new Set(timed.take()), new Set(["unmeasured parallel"]))
    assert.equal(timed.records, 0)
    end()
    ;(await capture).dispose()
    timed.call(policy, 1)
    assert.deepEqual(timed.take(), ["warm-up parallel"])
  })

  test("keeps 1 024 keys, forgets the least recently used ones, and warns once", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    const warnings = await counted("AUX_MANY_KEYS", async () => {
      for (let key = 0; key < 1024; key++) timed.call(policy, key)
      timed.call(policy, 0)
      for (let key = 1024; key < 1200; key++) timed.call(policy, key)
    })
    assert.equal(warnings, 1)
    const keys = new Set<OverlapKey>(policy.decisions.map(({ key }) => key))
    assert.ok(keys.size <= 1024)
    assert.ok(keys.has(0) && keys.has(1199) && !keys.has(1))
  })

  test("uses its timing events again: as many as calls whose times are awaited", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    for (let key = 0; key < 100; key++) await timed.decide(policy, key)
    assert.ok(timed.created <= 2 * 16, `${timed.created} events`)
  })

  test("if no timing event can be made or recorded, calls go on, unmeasured after a while", async () => {
    for (const method of ["events.create", "events.record"] as const) {
      using timed = new TimedDevice()
      timed.fails = method
      const policy = measuredOverlap({ name: "test" })
      timed.calls(100, policy, 1)
      await turn()
      assert.equal(policy.decisions[0]?.state, "unmeasurable")
      assert.equal(timed.take().at(-1), "unmeasured parallel")
      timed.fails = undefined
      timed.calls(1100, policy, 1)
      await turn()
      assert.equal(await timed.decide(policy, 1), "parallel")
    }
  })

  test("a stream that breaks loses the times of its calls, and the others decide", async () => {
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test" })
    timed.calls(8, policy, 1)
    timed.isBroken = true
    await turn()
    timed.isBroken = false
    assert.equal(policy.decisions[0]?.state, "measuring")
    assert.equal(await timed.decide(policy, 1), "parallel")
  })

  test("a device that was closed and opened again keeps its decisions, and measures anew what was not decided", async () => {
    const policy = measuredOverlap({ name: "test" })
    {
      using timed = new TimedDevice()
      await timed.decide(policy, 1)
      timed.isReady = false
      timed.calls(38, policy, 2)
    }
    using timed = new TimedDevice()
    timed.call(policy, 1)
    timed.call(policy, 2)
    assert.deepEqual(timed.take(), ["decided parallel", "warm-up parallel"])
    await timed.decide(policy, 2)
  })
})

describe("§14: what a call costs its program", () => {
  /** Far less than any call takes the thread. */
  const short = { parallel: 0.02, sequential: 0.04 }

  /** What a call costs in the parallel mode, as the policy sees it. */
  async function costOf(
    truth: { parallel: number; sequential: number },
    between: (timed: TimedDevice) => unknown,
  ): Promise<number> {
    using timed = new TimedDevice()
    timed.truth = truth
    timed.waits = false
    const policy = measuredOverlap({ name: "test" })
    for (let call = 0; call < 120; call++) {
      timed.call(policy, 1)
      await between(timed)
    }
    return policy.decisions[0]?.parallel ?? NaN
  }

  const isNear = (time: number, expected: number) => Math.abs(time / expected - 1) < 1e-6

  test("the stream's time counts if the stream takes longer than the calling thread", async () => {
    assert.ok(isNear(await costOf({ parallel: 1e6, sequential: 2e6 }, () => undefined), 1e6))
  })

  test("the calling thread's time counts if it takes longer than the stream", () => {
    using timed = new TimedDevice()
    timed.truth = short
    timed.waits = false
    const policy = measuredOverlap({ name: "test" })
    timed.calls(200, policy, 1)
    const cost = policy.decisions[0]?.parallel ?? NaN
    assert.ok(cost > 2 * short.parallel, `${cost}`)
  })

  test("the stream's time counts if the program waits for each result", async () => {
    for (const wait of [
      ({ device }: TimedDevice) => device.synchronize(),
      ({ device }: TimedDevice) => device.defaultStream.synchronize(),
      ({ device }: TimedDevice) => device.completed(),
      ({ event1 }: TimedDevice) => event1.synchronize(),
    ]) {
      const cost = await costOf(short, wait)
      assert.ok(isNear(cost, short.parallel), `${wait.toString()}: ${cost}`)
    }
  })

  test("the stream's time counts if the program may have rested in between", async () => {
    assert.ok(isNear(await costOf(short, () => turn()), short.parallel))
  })

  test("the stream's time counts if others may use the stream", async () => {
    assert.ok(isNear(await costOf(short, ({ device }) => device.defaultStream.handle), short.parallel))
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  defineKernel,
  type Device,
  executeInParallel,
  maybeExecuteInParallel,
  measuredOverlap,
  type OverlapOptions,
  parallel,
  startTrace,
  type Stream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, once, over, spin } from "../support/kernels.js"
import { describe } from "../../src/trace/layout/text/describe.js"
import { find } from "../../src/trace/layout/search.js"
import { isHeld, Latch } from "../support/latch.js"
import { Heard } from "../overlap/heard.js"

type Fn = () => unknown

/** Needs the whole device, as it says. It has the name of a kernel that the driver's double knows. */
const resident = defineKernel({
  name: "test_spin",
  signature: ["int32"],
  resident: true,
  cuda: { source: 'extern "C" __global__ void test_spin(int) {}' },
  host: { source: "export function test_spin() {}" },
})

const launch = () => spin.launch(once, 10)

/** The three functions that take a policy, with two functions each. */
function waysOn(device: Device, aux: Stream): ((fn0: Fn, fn1: Fn, options: OverlapOptions) => unknown)[] {
  const [start, done] = [device.createEvent(), device.createEvent()]
  return [
    (fn0, fn1, options) => maybeExecuteInParallel(fn0, fn1, start, done, aux, options),
    (fn0, fn1, options) => executeInParallel(fn0, [fn1], start, [done], [aux], options),
    (fn0, fn1, options) => parallel([fn0, fn1], options),
  ]
}

forEachOpenDevice("§14: measuredOverlap", (open) => {
  test("comes to a decision from the program's own calls, and each result is as without a policy", async () => {
    using device = open()
    using aux = device.createStream()
    for (const [index, call] of waysOn(device, aux).entries()) {
      const policy = measuredOverlap({ name: "test" })
      using x = device.zeros("int32", 64)
      using y = device.zeros("int32", 64)
      let calls = 0
      while (policy.decisions[0]?.mode === undefined) {
        assert.deepEqual(
          device.defaultStream.run(() =>
            call(
              () => (affine.launch(over(64), 64, x, 1, 1), "a"),
              () => (affine.launch(over(64), 64, y, 1, 2), "b"),
              { overlap: policy, key: 64 },
            ),
          ),
          index === 1 ? ["a", ["b"]] : ["a", "b"],
        )
        calls += 1
        if (calls % 4 === 0) await device.completed()
        assert.ok(calls < 5000)
      }
      assert.deepEqual([(await x.read())[63], (await y.read())[63]], [calls, 2 * calls])
      const [decision] = policy.decisions
      assert.ok(decision?.parallel !== undefined && decision.parallel > 0)
      assert.ok(decision.sequential !== undefined && decision.sequential > 0)
    }
  })

  test("calls count whose arrays are freed on the aux stream after the join", async () => {
    using device = open()
    using aux = device.createStream()
    const [start, done] = [device.createEvent(), device.createEvent()]
    const policy = measuredOverlap({ name: "test" })
    const make = () => affine.launch(over(64), 64, device.empty("int32", 64), 1, 1)
    for (let calls = 1; policy.decisions[0]?.mode === undefined; calls++) {
      device.scope(() => void maybeExecuteInParallel(make, make, start, done, aux, { overlap: policy, key: 64 }))
      if (calls % 16 === 0) await device.completed()
      assert.ok(calls < 500)
    }
  })

  test("in the parallel mode of a measurement the functions do not wait for each other; in the sequential one they do", () => {
    using device = open()
    using aux = device.createStream()
    const [start, done] = [device.createEvent(), device.createEvent()]
    const policy = measuredOverlap({ name: "test" })
    using heard = new Heard()
    for (const mode of ["parallel", "sequential"]) {
      using latch = new Latch(device)
      using after = device.createEvent()
      maybeExecuteInParallel(
        () => latch.hold(),
        () => {
          spin.launch(once, 10)
          after.record()
        },
        ...[start, done, aux],
        { overlap: policy, key: 1 },
      )
      assert.equal(heard.take().at(-1)?.mode, mode)
      if (mode === "parallel") after.synchronize()
      else assert.ok(isHeld(after))
      latch.open()
      device.synchronize()
    }
  })

  test("never waits for the device: calls go on while a latch holds the stream", () => {
    using device = open()
    using aux = device.createStream()
    const policy = measuredOverlap({ name: "test" })
    const [call] = waysOn(device, aux)
    using latch = new Latch(device)
    latch.hold(device.defaultStream)
    const calls = () => {
      for (let count = 0; count < 60; count++)
        call?.(
          () => {},
          () => {},
          { overlap: policy, key: 1 },
        )
    }
    calls()
    assert.equal(policy.decisions[0]?.state, "measuring")
    assert.equal(device.defaultStream.query(), false)
    latch.open()
    for (let turns = 0; policy.decisions[0]?.mode === undefined; turns++) {
      device.synchronize()
      calls()
      assert.ok(turns < 10)
    }
  })

  test("a resident kernel never runs beside another function of the call, and its key runs in sequence from then on", () => {
    using device = open()
    resident.load(device)
    using aux = device.createStream()
    const [start, done] = [device.createEvent(), device.createEvent()]
    using heard = new Heard()
    for (const which of ["fn0", "fn1"]) {
      const policy = measuredOverlap({ name: which })
      using latch = new Latch(device)
      using after = device.createEvent()
      const hold = () => void latch.hold()
      const launch = () => {
        resident.launch(once, 1)
        after.record()
      }
      // The first call of a key runs in parallel. The kernel must wait for the latch on the other stream, or the latch for it.
      maybeExecuteInParallel(which === "fn0" ? launch : hold, which === "fn0" ? hold : launch, ...[start, done, aux], {
        overlap: policy,
        key: 1,
      })
      assert.equal(heard.take().at(-1)?.mode, "parallel")
      if (which === "fn0") after.synchronize()
      else assert.ok(isHeld(after))
      latch.open()
      device.synchronize()
      maybeExecuteInParallel(launch, () => {}, start, done, aux, { overlap: policy, key: 1 })
      const message = heard.take().at(-1)
      assert.deepEqual([message?.mode, message?.reason], ["sequential", "policy"])
      assert.equal(policy.decisions[0]?.state, "resident")
      device.synchronize()
    }
  })

  test("a resident kernel in fn0 holds up what fn1 queues later", () => {
    using device = open()
    resident.load(device)
    using aux = device.createStream()
    const [start, done] = [device.createEvent(), device.createEvent()]
    const policy = measuredOverlap({ name: "test" })
    using latch = new Latch(device)
    using after = device.createEvent()
    maybeExecuteInParallel(
      () => {
        latch.hold()
        resident.launch(once, 1)
      },
      () => {
        spin.launch(once, 10)
        after.record()
      },
      ...[start, done, aux],
      { overlap: policy, key: 1 },
    )
    assert.ok(isHeld(after))
    latch.open()
    device.synchronize()
  })

  test("a graph with a resident kernel never runs beside another function of the call either", () => {
    using device = open()
    using aux = device.createStream()
    const [start, done] = [device.createEvent(), device.createEvent()]
    using graph = captureGraph(() => resident.launch(once, 1))
    const policy = measuredOverlap({ name: "test" })
    using latch = new Latch(device)
    using after = device.createEvent()
    maybeExecuteInParallel(
      () => void latch.hold(),
      () => {
        graph.launch()
        after.record()
      },
      ...[start, done, aux],
      { overlap: policy, key: 1 },
    )
    assert.ok(isHeld(after))
    latch.open()
    device.synchronize()
    assert.equal(policy.decisions[0]?.state, "resident")
  })

  test("§5 rule 9: inside a capture a resident kernel runs beside no other function of the call, whichever launches it", () => {
    using device = open()
    using aux = device.createStream()
    const policy = measuredOverlap({ name: "test" })
    const needsDevice = () => resident.launch(once, 1)
    for (const call of waysOn(device, aux)) {
      using first = captureGraph(() => void call(needsDevice, launch, { overlap: policy, key: 1 }))
      assert.deepEqual(first.edges, [[0, 1]])
      using second = captureGraph(() => void call(launch, needsDevice, { overlap: policy, key: 1 }))
      assert.deepEqual(second.edges, [[0, 1]])
    }
  })

  test("§5 rule 5: a capture is whole after a function has launched a resident kernel and thrown", () => {
    using device = open()
    using aux = device.createStream()
    const policy = measuredOverlap({ name: "test" })
    for (const call of waysOn(device, aux)) {
      using graph = captureGraph(() => {
        const fails = () => {
          resident.launch(once, 1)
          throw new Error("fails")
        }
        assert.throws(() => call(fails, launch, { overlap: policy, key: 1 }), /fails/)
        launch()
      })
      assert.deepEqual(graph.edges, [[0, 1]])
    }
  })

  test("a captured graph with a policy and a resident kernel runs one operation after another", () => {
    using device = open()
    const policy = measuredOverlap({ name: "test" })
    using graph = captureGraph(() => parallel([() => resident.launch(once, 1), launch]), {
      ...{ device, overlap: policy, key: 1 },
    })
    assert.deepEqual([graph.overlap?.mode, policy.decisions[0]?.state], ["sequential", "resident"])
    graph.launch()
    device.synchronize()
  })

  test("§12 a trace shows the policy of each fork-join, and the page says it", async () => {
    using device = open()
    using aux = device.createStream()
    const policy = measuredOverlap({ name: "mine" })
    const trace = startTrace()
    for (const call of waysOn(device, aux))
      device.defaultStream.run(() => call(launch, launch, { overlap: policy, key: "k" }))
    waysOn(device, aux)[0]?.(launch, launch, {})
    const { data } = await trace.stop()
    const note = (phase: string) => ({ name: "mine", key: "k", phase })
    assert.deepEqual(
      data.regions.map(({ mode, reason, policy }) => [mode, reason, policy]),
      [
        ["parallel", "parallel", note("warm-up")],
        ["sequential", "policy", note("warm-up")],
        ["parallel", "parallel", note("warm-up")],
        ["parallel", "parallel", undefined],
      ],
    )
    const facts = describe(data, { kind: "region", index: 1 }).facts
    assert.deepEqual(
      facts.find(([name]) => name === "overlap policy"),
      ["overlap policy", '"mine", key "k": warm-up'],
    )
    assert.equal(find(data, "mine").length, 3)
  })

  test("inside a capture nothing is timed, and the graph has the branches", async () => {
    using device = open()
    using aux = device.createStream()
    using x = device.zeros("int32", 64)
    using y = device.zeros("int32", 64)
    const policy = measuredOverlap({ name: "test" })
    const [call] = waysOn(device, aux)
    using graph = captureGraph(
      () =>
        void call?.(
          () => affine.launch(over(64), 64, x, 1, 1),
          () => affine.launch(over(64), 64, y, 1, 2),
          { overlap: policy, key: 1 },
        ),
      { device },
    )
    assert.equal(graph.branchCount, 2)
    assert.deepEqual(policy.decisions, [])
    graph.launch()
    assert.deepEqual([(await x.read())[0], (await y.read())[0]], [1, 2])
  })
})

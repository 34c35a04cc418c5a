import assert from "node:assert/strict"
import { after, before, describe, it } from "node:test"
import type { DriverMethod } from "../support/driver-proxy.js"
import { captureGraph, currentStream, fork, maybeExecuteInParallel } from "../../src/index.js"
import { AuxstreamError } from "../../src/common/errors.js"
import { affine, once } from "../support/kernels.js"
import { nothing, Recorded } from "../support/recorded.js"

const shape = { grid: 1, block: 1 }

/** Uses every driver call that a capture may make. */
function program(recorded: Recorded) {
  const { device, aux, event0, event1 } = recorded
  return () => {
    const x = device.zeros("float32", 100)
    const y = device.from(new Float32Array(100))
    x.copyFrom(y)
    maybeExecuteInParallel(
      () => recorded.launch(0),
      () => y.fill(1),
      event0,
      event1,
      aux,
    )
    y.dispose()
    const forked = fork(() => device.empty("float32", 100))
    recorded.launch(1)
    x.copyFrom(forked.join())
    aux.wait(currentStream(device))
    return x
  }
}

/** A capture must leave nothing behind. */
function checkUsable(recorded: Recorded, used: number): void {
  const { device, main, aux } = recorded
  for (const stream of [main, aux]) {
    nothing.launch({ ...shape, stream }, 1)
    stream.synchronize()
    assert.equal(stream.state.capture, undefined)
  }
  assert.equal(device.order.capturing, 0)
  device.synchronize()
  assert.equal(device.memory.used, used)
  using graph = captureGraph(program(recorded), { device })
  graph.launch()
  main.synchronize()
}

describe("graphs: the driver's calls", () => {
  it("a capture begins on a stream of its own and ends there, and every wait is sent", () => {
    using recorded = new Recorded()
    const { device, recording, aux, event0, event1 } = recorded
    recorded.launch(0)
    device.synchronize()
    recording.calls.length = 0
    using graph = captureGraph(
      () => {
        const root = currentStream(device)
        recorded.nameStream(root, "root")
        for (const label of [1, 2]) {
          maybeExecuteInParallel(
            () => recorded.launch(label),
            () => recorded.launch(label * 10),
            event0,
            event1,
            aux,
          )
        }
        return root.state.handle
      },
      { device },
    )
    const names = recording.calls.map(({ name }) => name)
    assert.equal(names.filter((name) => name === "graphs.beginCapture").length, 1)
    assert.deepEqual(recording.calls.find(({ name }) => name === "graphs.beginCapture")?.args, [graph.result])
    assert.deepEqual(recording.calls.find(({ name }) => name === "graphs.endCapture")?.args, [
      graph.result,
      undefined,
      false, // It keeps no priorities,
      false, // and is not chained.
    ])
    const captured = recording.calls.slice(names.indexOf("graphs.beginCapture") + 1, names.indexOf("graphs.endCapture"))
    const forbidden = /^(allocate|free|upload|query|synchronize|whenComplete|drainFrees)/
    assert.deepEqual(
      captured.filter(({ name }) => forbidden.test(name)),
      [],
    )
    assert.deepEqual(
      recorded.log().filter((line) => !line.includes("another")),
      [
        "record event0 on root",
        "launch 1 on root",
        "aux waits for event0",
        "launch 10 on aux",
        "record event1 on aux",
        "root waits for event1",
        "record event0 on root",
        "launch 2 on root",
        "aux waits for event0",
        "launch 20 on aux",
        "record event1 on aux",
        "root waits for event1",
      ],
    )
  })

  it("after a capture, a stream does not wait for its own events", () => {
    using recorded = new Recorded()
    const { device, aux, event0 } = recorded
    aux.run(() => recorded.launch(0))
    using graph = captureGraph(
      () => {
        aux.wait(currentStream(device))
        aux.run(() => recorded.launch(1))
        currentStream(device).wait(aux)
      },
      { device },
    )
    assert.equal(graph.nodeCount, 1)
    aux.run(() => recorded.launch(2))
    event0.record(aux)
    recorded.log()
    event0.wait(aux)
    assert.deepEqual(recorded.log(), [])
  })

  it("a launch in a loop is one driver call", () => {
    using recorded = new Recorded()
    const { device, recording } = recorded
    const x = device.zeros("float32", 100)
    using graph = captureGraph(program(recorded), { device })
    graph.launch()
    device.synchronize()
    recording.calls.length = 0
    for (let count = 0; count < 10; count++) graph.launch()
    assert.deepEqual(
      recording.calls.map(({ name }) => name),
      Array<string>(10).fill("graphs.launch"),
    )
    x.dispose()
  })

  it("an update passes the executable graph to the driver, and releases it if the shape has changed", () => {
    using recorded = new Recorded()
    const { device, recording } = recorded
    using graph = captureGraph(() => recorded.launch(1), { device })
    const { handle } = graph.state
    recording.calls.length = 0
    assert.equal(
      graph.update(() => recorded.launch(2)),
      true,
    )
    assert.equal(recording.calls.find(({ name }) => name === "graphs.endCapture")?.args[1], handle)
    assert.equal(graph.state.handle, handle)
    assert.equal(
      graph.update(() => {
        recorded.launch(2)
        recorded.launch(3)
      }),
      false,
    )
    assert.notEqual(graph.state.handle, handle)
    recorded.launch(0)
    device.synchronize()
    device.pinned("float32", 1).dispose()
    assert.deepEqual(recording.calls.find(({ name }) => name === "graphs.destroy")?.args, [handle])
  })
})

describe("graphs: a driver that fails", () => {
  let recorded: Recorded
  let used: number
  before(() => {
    recorded = new Recorded()
    nothing.launch({ ...shape, stream: recorded.main }, 1)
    captureGraph(program(recorded), { device: recorded.device }).dispose()
    recorded.device.synchronize()
    used = recorded.device.memory.used
  })
  after(() => recorded.device.dispose())

  const methods: DriverMethod[] = [
    ...(["streams.create", "events.record", "streams.wait", "memory.allocate", "memory.allocatePinned"] as const),
    ...(["memory.copy", "memory.fill", "kernels.launch", "graphs.beginCapture", "graphs.endCapture"] as const),
  ]
  for (const method of methods) {
    it(`at each ${method} leaves streams usable and another capture possible`, () => {
      const { device, recording } = recorded
      for (let nth = 1; ; nth++) {
        const error = new AuxstreamError("AUX_CUDA_FAILED", `${method} number ${nth}`)
        recording.failAt(method, nth, error)
        let graph
        let thrown: unknown
        try {
          graph = captureGraph(program(recorded), { device })
        } catch (caught) {
          thrown = caught
        }
        recording.forgetFailures()
        if (graph !== undefined) {
          graph.dispose()
          assert.ok(nth > 1, `${method} is never called`)
          break
        }
        assert.equal(thrown, error)
        checkUsable(recorded, used)
      }
    })
  }

  it("at a launch leaves the graph as it was", () => {
    const { device, recording, aux, main } = recorded
    using graph = captureGraph(program(recorded), { device })
    for (const method of ["graphs.orderBehindLaunch", "graphs.launch"] as const) {
      const error = new AuxstreamError("AUX_CUDA_FAILED", method)
      const stream = device.createStream()
      graph.launch(main)
      recording.failAt(method, 1, error)
      assert.throws(() => graph.launch(stream), error)
      recording.forgetFailures()
      graph.launch(stream)
      stream.dispose()
    }
    graph.launch(aux)
    device.synchronize()
  })

  it("right after a launch leaves it queued, and orders the next one on another stream after it", () => {
    const { device, recording } = recorded
    using x = device.zeros("int32", 1)
    using graph = captureGraph(() => affine.launch(once, 1, x, 1, 1), { device })
    using other = captureGraph(() => affine.launch(once, 1, x, 2, 0), { device })
    using stream = device.createStream()
    other.launch()
    recording.failAt("events.record", 1, new AuxstreamError("AUX_CUDA_FAILED", "events.record"))
    graph.launch()
    recording.forgetFailures()
    other.launch(stream)
    assert.deepEqual([...stream.run(() => x.readSync())], [2])
  })

  it("at an update leaves the graph as it was", () => {
    const { device, recording } = recorded
    using graph = captureGraph(program(recorded), { device })
    const { result } = graph
    const { handle, capture } = graph.state
    for (const method of ["graphs.beginCapture", "kernels.launch", "graphs.endCapture"] as const) {
      const error = new AuxstreamError("AUX_CUDA_FAILED", method)
      recording.failAt(method, 1, error)
      assert.throws(() => graph.update(program(recorded)), error)
      assert.equal(graph.state.handle, handle)
      assert.equal(graph.state.capture, capture)
      assert.equal(graph.result, result)
      graph.launch()
    }
    device.synchronize()
  })
})

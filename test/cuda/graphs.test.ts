import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Driver } from "../../src/driver/driver.js"
import type { EventHandle, GraphHandle, StreamHandle } from "../../src/driver/handles.js"
import { CudaError, DeviceLostError } from "../../src/common/errors.js"
import { refused } from "../support/errors.js"
import {
  affine,
  deviceIsLost,
  fault,
  launch,
  never,
  noop,
  onDouble,
  open,
  read,
  saxpy,
  takeWarnings,
  thrownBy,
  unknown,
} from "./device.js"
import { double } from "./double.js"

/** Two streams and two events, and memory for two numbers that kernels change, in an order that shows in them. */
class ForkJoin {
  readonly driver: Driver
  readonly main: StreamHandle
  readonly aux: StreamHandle
  readonly forked: EventHandle
  readonly joined: EventHandle
  readonly address: number

  constructor(driver: Driver) {
    this.driver = driver
    this.main = driver.streams.create(0)
    this.aux = driver.streams.create(0)
    this.forked = driver.events.create(false)
    this.joined = driver.events.create(false)
    this.address = driver.memory.allocate(256, this.main, never)
    for (const kernel of [affine, noop]) driver.kernels.load(kernel)
    this.set(1, 1)
  }

  set(first: number, second: number): void {
    this.driver.memory.upload(this.address, new Uint8Array(new Int32Array([first, second]).buffer), this.main)
    this.driver.streams.synchronize(this.main)
  }

  get(): number[] {
    return [...new Int32Array(read(this.driver, this.address, 8, this.main).buffer)]
  }

  change(stream: StreamHandle, index: number, scale: number, offset: number): void {
    const range = { address: this.address + 4 * index, length: 1 }
    launch(this.driver, stream, affine, 1, range, scale, offset)
  }

  /** x = x * scale + 1 before the fork; x = x * scale + 2 on one branch, y = y * scale + 3 on the other. */
  run(scale: number): void {
    const { driver, main, aux, forked, joined } = this
    this.change(main, 0, scale, 1)
    driver.events.record(forked, main)
    driver.streams.wait(aux, forked)
    this.change(aux, 1, scale, 3)
    driver.events.record(joined, aux)
    this.change(main, 0, scale, 2)
    driver.streams.wait(main, joined)
  }

  capture(scale: number, update?: GraphHandle): GraphHandle {
    this.driver.graphs.beginCapture(this.main)
    this.run(scale)
    return this.driver.graphs.endCapture(this.main, update)
  }

  launch(graph: GraphHandle): number[] {
    this.driver.graphs.launch(graph, this.main)
    return this.get()
  }

  /** Checks that no stream is being captured, that work runs, and that another capture succeeds. */
  checkUsable(): void {
    for (const stream of [this.main, this.aux]) {
      this.set(1, 1)
      this.change(stream, 0, 2, 3)
      this.driver.streams.synchronize(stream)
      assert.deepEqual(this.get(), [5, 1])
    }
    this.set(1, 1)
    const graph = this.capture(2)
    assert.deepEqual(this.launch(graph), [8, 5])
    this.driver.graphs.destroy(graph)
  }
}

function checkStatus(status: string, fn: () => unknown): void {
  const error = thrownBy(fn)
  assert.ok(error instanceof CudaError, String(error))
  assert.equal(error.status, status)
}

onDouble("graphs", () => {
  test("a captured fork-join makes the same calls as an uncaptured one, between one call before and a few after", () => {
    using driver = open()
    const { main, aux, forked, joined, ...all } = new ForkJoin(driver)
    const kernel = driver.kernels.load(noop)
    const go = (stream: StreamHandle): void =>
      void driver.kernels.launch(stream, kernel, LaunchShape.of(), [], undefined)
    let graph = 0
    const calls = double.log(() => {
      driver.graphs.beginCapture(main)
      go(main)
      driver.events.record(forked, main)
      driver.streams.wait(aux, forked)
      go(aux)
      driver.events.record(joined, aux)
      driver.streams.wait(main, joined)
      graph = driver.graphs.endCapture(main, undefined)
      driver.graphs.launch(graph, main)
    })
    const [, captured] = calls.find(([name]) => name === "cuGraphInstantiateWithFlags") ?? []
    assert.deepEqual(
      calls.map(([name, ...words]) => {
        if (name === "cuCtxPushCurrent_v2" || name === "cuCtxPopCurrent_v2") return [name]
        return [name, ...(name === "cuLaunchKernelEx" ? words.slice(1) : words)]
      }),
      [
        ["cuStreamBeginCapture_v2", main, 2],
        ["cuLaunchKernelEx", main],
        ["cuEventRecord", forked, main],
        ["cuStreamWaitEvent", aux, forked, 0],
        ["cuLaunchKernelEx", aux],
        ["cuEventRecord", joined, aux],
        ["cuStreamWaitEvent", main, joined, 0],
        ["cuStreamEndCapture", main],
        ["cuCtxPushCurrent_v2"],
        ["cuGraphInstantiateWithFlags", captured, 0],
        ["cuCtxPopCurrent_v2"],
        ["cuGraphLaunch", graph, main],
      ],
    )
    driver.streams.synchronize(main)
    assert.deepEqual(
      double.log(() => driver.graphs.destroy(graph)),
      [
        ["cuGraphDestroy", captured],
        ["cuGraphExecDestroy", graph],
      ],
    )
    assert.ok(all.address > 0)
  })

  test("nothing runs before the launch, and every launch runs everything", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const graph = forkJoin.capture(2)
    assert.deepEqual(forkJoin.get(), [1, 1])
    assert.deepEqual(forkJoin.launch(graph), [8, 5])
    assert.deepEqual(forkJoin.launch(graph), [36, 13])
    assert.deepEqual([double.alive().graphs, double.alive().executables], [1, 1])
  })

  test("a graph of the same shape updates the executable, and one of another shape makes a new one", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const graph = forkJoin.capture(2)
    const updated: number[] = []
    const names = double.log(() => updated.push(forkJoin.capture(3, graph))).map(([name]) => name)
    assert.deepEqual(updated, [graph])
    assert.equal(names.includes("cuGraphInstantiateWithFlags"), false)
    assert.deepEqual(forkJoin.launch(graph), [14, 6])
    driver.graphs.beginCapture(forkJoin.main)
    forkJoin.change(forkJoin.main, 0, 0, 7)
    const other = driver.graphs.endCapture(forkJoin.main, graph)
    assert.notEqual(other, graph)
    assert.deepEqual(forkJoin.launch(other), [7, 6])
    forkJoin.set(1, 1)
    assert.deepEqual(forkJoin.launch(graph), [14, 6])
    assert.deepEqual([double.alive().graphs, double.alive().executables], [2, 2])
  })

  test("a cancelled capture leaves nothing behind, in whatever state it was", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const invalidations: (() => void)[] = [
      () => {},
      () => driver.events.record(forkJoin.forked, forkJoin.main),
      () => void thrownBy(() => driver.streams.query(forkJoin.aux)),
      () => double.fail("cuStreamEndCapture", 1, unknown),
      () => forkJoin.change(forkJoin.aux, 0, 1, 1),
    ]
    for (const act of invalidations) {
      driver.graphs.beginCapture(forkJoin.main)
      forkJoin.run(2)
      act()
      driver.graphs.cancelCapture(forkJoin.main)
      assert.deepEqual([double.alive().graphs, double.alive().executables], [0, 0])
      forkJoin.checkUsable()
    }
  })

  for (const call of ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"]) {
    test(`${call} failing throws, and leaves the streams usable and nothing else`, () => {
      using driver = open()
      const forkJoin = new ForkJoin(driver)
      const before = double.alive()
      double.fail(call, 1, unknown)
      checkStatus("CUDA_ERROR_UNKNOWN", () => forkJoin.capture(2))
      assert.equal(double.failuresLeft(), 0)
      assert.deepEqual(double.alive(), before)
      forkJoin.checkUsable()
    })
  }

  test("an update that fails for any reason gives another executable", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const graph = forkJoin.capture(2)
    double.fail("cuGraphExecUpdate_v2", 1, unknown)
    const other = forkJoin.capture(3, graph)
    assert.notEqual(other, graph)
    assert.deepEqual(forkJoin.launch(other), [14, 6])
    double.fail("cuGraphExecUpdate_v2", 1, unknown)
    double.fail("cuGraphInstantiateWithFlags", 1, unknown)
    checkStatus("CUDA_ERROR_UNKNOWN", () => forkJoin.capture(4, graph))
    forkJoin.set(1, 1)
    assert.deepEqual(forkJoin.launch(graph), [8, 5])
    assert.deepEqual([double.alive().graphs, double.alive().executables], [2, 2])
  })

  test("a launch that fails has queued nothing", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const graph = forkJoin.capture(2)
    double.fail("cuGraphLaunch", 1, unknown)
    checkStatus("CUDA_ERROR_UNKNOWN", () => driver.graphs.launch(graph, forkJoin.main))
    assert.deepEqual(forkJoin.get(), [1, 1])
    assert.deepEqual(forkJoin.launch(graph), [8, 5])
  })

  for (const [call, kind] of [
    ["cuGraphDestroy", "graphs"],
    ["cuGraphExecDestroy", "executables"],
  ] as const) {
    test(`${call} failing causes a warning and does not throw`, async () => {
      using driver = open()
      const forkJoin = new ForkJoin(driver)
      double.fail(call, 1, unknown)
      driver.graphs.destroy(forkJoin.capture(2))
      const [warning] = await takeWarnings()
      assert.match(warning?.message ?? "", new RegExp(`leaked. ${call} failed`))
      assert.equal(double.alive()[kind], 1)
      forkJoin.checkUsable()
      // It stays leaked.
      deviceIsLost()
    })
  }

  test("creating streams and loading kernels do not invalidate a capture", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    driver.graphs.beginCapture(forkJoin.main)
    const stream = driver.streams.create(0)
    driver.events.destroy(driver.events.create(true))
    driver.memory.freePinned(driver.memory.allocatePinned(2 ** 20).address)
    driver.kernels.load(saxpy)
    driver.memory.upload(driver.memory.allocate(256, stream, never), new Uint8Array(8), stream)
    driver.streams.synchronize(stream)
    forkJoin.run(2)
    const graph = driver.graphs.endCapture(forkJoin.main, undefined)
    assert.deepEqual(forkJoin.launch(graph), [8, 5])
  })

  test("a branch that was not joined is an error, and so is a call that invalidates the capture", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    const { main, aux, forked } = forkJoin
    const outside = driver.events.create(false)
    driver.events.record(outside, aux)
    const other = driver.streams.create(0)
    const after = (act: () => void) => () => {
      driver.graphs.beginCapture(main)
      driver.events.record(forked, main)
      driver.streams.wait(aux, forked)
      try {
        act()
      } finally {
        const status = act.name === "unjoined" ? "UNJOINED" : "INVALIDATED"
        checkStatus(`CUDA_ERROR_STREAM_CAPTURE_${status}`, () => driver.graphs.endCapture(main, undefined))
      }
    }
    after(function unjoined() {
      forkJoin.change(aux, 0, 1, 1)
    })()
    const unsupported = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
    for (const look of [() => driver.streams.query(main), () => driver.streams.synchronize(aux)]) {
      checkStatus(unsupported, after(look))
      forkJoin.checkUsable()
    }
    checkStatus(
      "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
      after(() => driver.streams.wait(main, outside)),
    )
    forkJoin.checkUsable()
    driver.graphs.beginCapture(main)
    driver.events.record(forked, main)
    refused(() => driver.events.query(forked), "AUX_STREAM_CAPTURING", "another library")
    driver.graphs.beginCapture(other)
    checkStatus("CUDA_ERROR_STREAM_CAPTURE_MERGE", () => driver.streams.wait(other, forked))
    for (const stream of [main, other]) driver.graphs.cancelCapture(stream)
    forkJoin.checkUsable()
  })

  test("a device lost in a graph's launch, or during a capture, takes its graphs with it", () => {
    using driver = open()
    const forkJoin = new ForkJoin(driver)
    driver.kernels.load(fault)
    driver.graphs.beginCapture(forkJoin.main)
    launch(driver, forkJoin.main, fault)
    const graph = driver.graphs.endCapture(forkJoin.main, undefined)
    driver.graphs.beginCapture(forkJoin.aux)
    driver.graphs.launch(graph, forkJoin.main)
    const lost = thrownBy(() => driver.streams.synchronize(forkJoin.main))
    assert.ok(lost instanceof DeviceLostError)
    assert.equal(
      thrownBy(() => driver.graphs.launch(graph, forkJoin.main)),
      lost,
    )
    assert.equal(
      thrownBy(() => driver.graphs.endCapture(forkJoin.aux, undefined)),
      lost,
    )
    driver.graphs.cancelCapture(forkJoin.aux)
    driver.graphs.destroy(graph)
    deviceIsLost()
  })
})

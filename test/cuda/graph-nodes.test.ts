import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { NodeHandle, StreamHandle } from "../../src/driver/handles.js"
import { CudaError } from "../../src/common/errors.js"
import { affine, Latch, launch, never, onDouble, open, read, thrownBy, unknown } from "./device.js"
import { double } from "./double.js"

/** Two numbers that kernels change, and a graph of a launch, a copy of the first number to the second, and another launch. */
class Captured {
  readonly stream: StreamHandle
  readonly address: number
  readonly graph: number
  readonly nodes: readonly NodeHandle[]

  constructor(readonly driver: Driver) {
    this.stream = driver.streams.create(0)
    this.address = driver.memory.allocate(256, this.stream, never)
    driver.kernels.load(affine)
    driver.graphs.beginCapture(this.stream)
    this.nodes = this.#queue(7, 5)
    this.graph = driver.graphs.endCapture(this.stream, undefined)
    this.clear()
  }

  /** Captures the graph again, with other values. @returns the handles of the launches */
  recapture(first: number, last: number): NodeHandle[] {
    this.driver.graphs.beginCapture(this.stream)
    return this.#queue(first, last)
  }

  #queue(first: number, last: number): NodeHandle[] {
    const node = this.launch(0, first)
    this.driver.memory.copy(this.address + 4, this.address, 4, this.stream)
    return [node, this.launch(2, last)]
  }

  launch(index: number, value: number): NodeHandle {
    launch(this.driver, this.stream, affine, 1, { address: this.address + 4 * index, length: 1 }, 0, value)
    return this.driver.graphs.capturedNode(this.stream)
  }

  setArguments(index: number, value: number): void {
    const args = [1, { address: this.address + 4 * index, length: 1 }, 0, value]
    this.driver.graphs.setNodeArguments(this.graph, this.nodes[0] ?? 0, this.driver.kernels.load(affine), args)
  }

  setEnabled(node: number, enabled: boolean): void {
    this.driver.graphs.setNodeEnabled(this.graph, this.nodes[node] ?? 0, enabled)
  }

  clear(): void {
    this.driver.memory.fill(this.address, new Uint8Array(4), 4, this.stream)
  }

  run(): number[] {
    this.driver.graphs.launch(this.graph, this.stream)
    return this.numbers()
  }

  numbers(): number[] {
    return [...new Int32Array(read(this.driver, this.address, 16, this.stream).slice().buffer)]
  }
}

onDouble("nodes of graphs", () => {
  test("the handle of a captured launch is the stream's last dependency", () => {
    using driver = open()
    const { nodes } = new Captured(driver)
    assert.equal(new Set(nodes).size, 2)
    assert.ok(nodes.every((node) => node !== 0))
  })

  test("a launch gets other arguments in the executable graph and in its template, with our context current", () => {
    using driver = open()
    const captured = new Captured(driver)
    double.setStrict(true)
    const calls = double.log(() => captured.setArguments(3, 9)).map(([name]) => name)
    double.setStrict(false)
    assert.deepEqual(calls, [
      "cuCtxPushCurrent_v2",
      "cuGraphKernelNodeGetParams_v2",
      "cuGraphKernelNodeSetParams_v2",
      "cuGraphExecKernelNodeSetParams_v2",
      "cuCtxPopCurrent_v2",
    ])
    assert.deepEqual(captured.run(), [0, 0, 5, 9])
  })

  test("a graph that is launched inside a capture has the arguments that were set last", () => {
    using driver = open()
    const captured = new Captured(driver)
    captured.setArguments(3, 9)
    driver.graphs.beginCapture(captured.stream)
    driver.graphs.launch(captured.graph, captured.stream)
    const outer = driver.graphs.endCapture(captured.stream, undefined)
    driver.graphs.launch(outer, captured.stream)
    assert.deepEqual(captured.numbers(), [0, 0, 5, 9])
  })

  test("a disabled launch does nothing until it is enabled", () => {
    using driver = open()
    const captured = new Captured(driver)
    for (const [node, expected] of [
      [0, [0, 0, 5, 0]],
      [1, [7, 7, 0, 0]],
    ] as const) {
      captured.clear()
      captured.setEnabled(node, false)
      assert.deepEqual(captured.run(), expected)
      captured.setEnabled(node, true)
    }
    assert.deepEqual(captured.run(), [7, 7, 5, 0])
  })

  test("a launch that is queued already keeps its arguments and its nodes", () => {
    using driver = open()
    const captured = new Captured(driver)
    using latch = new Latch(driver)
    latch.hold(captured.stream)
    driver.graphs.launch(captured.graph, captured.stream)
    captured.setArguments(3, 9)
    captured.setEnabled(1, false)
    latch.open()
    assert.deepEqual(captured.numbers(), [7, 7, 5, 0])
    captured.clear()
    assert.deepEqual(captured.run(), [0, 0, 0, 9])
  })

  test("an update of the executable graph enables every node", () => {
    using driver = open()
    const captured = new Captured(driver)
    for (const node of [0, 1]) captured.setEnabled(node, false)
    captured.recapture(8, 6)
    assert.equal(driver.graphs.endCapture(captured.stream, captured.graph), captured.graph)
    assert.deepEqual(captured.run(), [8, 8, 6, 0])
  })

  test("an updated executable is replaced before its nodes are changed, as CUDA no longer knows them", () => {
    using driver = open()
    const captured = new Captured(driver)
    assert.equal(driver.graphs.makeChangeable(captured.graph), captured.graph)
    const [node = 0] = captured.recapture(8, 6)
    assert.equal(driver.graphs.endCapture(captured.stream, captured.graph), captured.graph)
    const graph = driver.graphs.makeChangeable(captured.graph)
    assert.notEqual(graph, captured.graph)
    assert.equal(driver.graphs.makeChangeable(graph), graph)
    const { executables, graphs } = double.alive()
    assert.deepEqual({ executables, graphs }, { executables: 2, graphs: 1 })
    driver.graphs.destroy(captured.graph)
    driver.graphs.setNodeEnabled(graph, node, false)
    driver.graphs.launch(graph, captured.stream)
    assert.deepEqual(captured.numbers(), [0, 0, 6, 0])
    driver.graphs.destroy(graph)
    const after = double.alive()
    assert.deepEqual([after.executables, after.graphs], [0, 0])
  })

  test("an update that is refused leaves the disabled nodes disabled", () => {
    using driver = open()
    const captured = new Captured(driver)
    captured.setEnabled(0, false)
    driver.graphs.beginCapture(captured.stream)
    captured.launch(0, 8)
    const other = driver.graphs.endCapture(captured.stream, captured.graph)
    assert.notEqual(other, captured.graph)
    assert.deepEqual(captured.run(), [0, 0, 5, 0])
  })

  for (const call of [
    "cuGraphKernelNodeGetParams_v2",
    "cuGraphKernelNodeSetParams_v2",
    "cuGraphExecKernelNodeSetParams_v2",
  ]) {
    test(`if ${call} fails, the graph keeps its arguments`, () => {
      using driver = open()
      const captured = new Captured(driver)
      double.fail(call, 1, unknown)
      assert.ok(thrownBy(() => captured.setArguments(3, 9)) instanceof CudaError)
      assert.deepEqual(captured.run(), [7, 7, 5, 0])
    })
  }

  test("if cuGraphNodeSetEnabled fails, the node stays enabled", () => {
    using driver = open()
    const captured = new Captured(driver)
    double.fail("cuGraphNodeSetEnabled", 1, unknown)
    assert.ok(thrownBy(() => captured.setEnabled(0, false)) instanceof CudaError)
    assert.deepEqual(captured.run(), [7, 7, 5, 0])
  })
})

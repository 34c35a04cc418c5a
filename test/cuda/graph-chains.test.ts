import assert from "node:assert/strict"
import { test } from "node:test"
import { CudaError } from "../../src/common/errors.js"
import { cudaLibrary } from "../../src/cuda/api/library.js"
import type { Driver } from "../../src/driver/driver.js"
import type { GraphHandle, StreamHandle } from "../../src/driver/handles.js"
import { affine, launch, never, onDouble, open, read, takeWarnings, thrownBy, unknown } from "./device.js"
import { double, native } from "./double.js"

const listBackwards = (yes: boolean): void => void native("double_list_backwards", "void", ["int"])(Number(yes))

/** A graph of five launches on two streams that all change one number. */
class Captured {
  readonly stream: StreamHandle
  readonly graph: GraphHandle
  readonly #address: number

  constructor(readonly driver: Driver) {
    this.stream = driver.streams.create(0)
    this.#address = driver.memory.allocate(256, this.stream, never)
    driver.kernels.load(affine)
    this.graph = this.capture(1)
  }

  capture(offset: number, update?: GraphHandle, isChained = false): GraphHandle {
    const { driver, stream } = this
    const other = driver.streams.create(0)
    const event = driver.events.create(false)
    const change = (on: StreamHandle, scale: number): void =>
      launch(driver, on, affine, 1, { address: this.#address, length: 1 }, scale, offset)
    driver.graphs.beginCapture(stream)
    change(stream, 2)
    driver.events.record(event, stream)
    driver.streams.wait(other, event)
    change(stream, 3)
    change(other, 5)
    change(stream, 7)
    driver.events.record(event, other)
    driver.streams.wait(stream, event)
    change(stream, 11)
    const graph = driver.graphs.endCapture(stream, update, false, isChained)
    driver.streams.destroy(other)
    driver.events.destroy(event)
    return graph
  }

  /** The number after a launch that begins with 0. */
  run(graph: GraphHandle): number {
    this.driver.memory.fill(this.#address, new Uint8Array(4), 4, this.stream)
    this.driver.graphs.launch(graph, this.stream)
    return new DataView(read(this.driver, this.#address, 4, this.stream).buffer).getInt32(0, true)
  }
}

const names = (fn: () => void): (string | number | undefined)[] => double.log(fn).map(([name]) => name)
const inOrder = (((1 * 3 + 1) * 5 + 1) * 7 + 1) * 11 + 1

onDouble("chains of graphs", () => {
  test("a chain is instantiated from the same template, which has its own dependencies again afterwards", () => {
    using driver = open()
    const captured = new Captured(driver)
    let chained = 0
    const calls = names(() => {
      chained = driver.graphs.chain(captured.graph)
    })
    assert.deepEqual(calls, [
      "cuGraphGetEdges_v2",
      "cuGraphGetEdges_v2",
      "cuGraphGetNodes",
      "cuGraphGetNodes",
      "cuGraphAddDependencies",
      "cuCtxPushCurrent_v2",
      "cuGraphInstantiateWithFlags",
      "cuCtxPopCurrent_v2",
      "cuGraphRemoveDependencies",
    ])
    assert.deepEqual([double.alive().graphs, double.alive().executables], [1, 2])
    assert.equal(captured.run(chained), inOrder)
    // Two of the chain's four dependencies are missing: those between the streams.
    const added = double.log(() => driver.graphs.destroy(driver.graphs.chain(captured.graph)))
    assert.equal(added.find(([name]) => name === "cuGraphAddDependencies")?.at(-1), 2)
  })

  test("the template is destroyed with the last of its executables", () => {
    using driver = open()
    const captured = new Captured(driver)
    const chained = driver.graphs.chain(captured.graph)
    assert.deepEqual(
      names(() => driver.graphs.destroy(captured.graph)),
      ["cuGraphExecDestroy"],
    )
    assert.equal(captured.run(chained), inOrder)
    assert.deepEqual(
      names(() => driver.graphs.destroy(chained)),
      ["cuGraphDestroy", "cuGraphExecDestroy"],
    )
  })

  test("a chain that is launched in a capture is added while its template is chained", () => {
    using driver = open()
    const captured = new Captured(driver)
    const chained = driver.graphs.chain(captured.graph)
    driver.graphs.beginCapture(captured.stream)
    const calls = names(() => driver.graphs.launch(chained, captured.stream)).map(String)
    const places = ["cuGraphAddDependencies", "cuGraphAddChildGraphNode", "cuGraphRemoveDependencies"].map((name) =>
      calls.indexOf(name),
    )
    assert.ok(
      places.every((place, index) => place > (places[index - 1] ?? 0)),
      calls.join(),
    )
    const outer = driver.graphs.endCapture(captured.stream, undefined)
    assert.equal(captured.run(outer), inOrder)
  })

  test("an older driver has no edge data", () => {
    using driver = open()
    const captured = new Captured(driver)
    const { newer } = cudaLibrary()
    const call = newer.cuGraphGetEdgesWithData
    Reflect.set(newer, "cuGraphGetEdgesWithData", undefined)
    try {
      assert.ok(names(() => driver.graphs.destroy(driver.graphs.chain(captured.graph))).includes("cuGraphGetEdges"))
    } finally {
      Reflect.set(newer, "cuGraphGetEdgesWithData", call)
    }
  })

  test("if the driver lists nodes in another order, the chain keeps the graph's dependencies", () => {
    using driver = open()
    const captured = new Captured(driver)
    listBackwards(true)
    try {
      const chained = driver.graphs.chain(captured.graph)
      // From the last of the list backwards: first the third launch, which is alone on its stream, or the second.
      const others = [(((1 * 5 + 1) * 3 + 1) * 7 + 1) * 11 + 1, (((1 * 3 + 1) * 7 + 1) * 5 + 1) * 11 + 1]
      const possible = new Set([inOrder, ...others])
      for (let round = 0; round < 10; round++) assert.ok(possible.has(captured.run(chained)))
    } finally {
      listBackwards(false)
    }
  })

  for (const call of [
    "cuGraphGetEdges_v2",
    "cuGraphGetNodes",
    "cuGraphAddDependencies",
    "cuGraphInstantiateWithFlags",
  ]) {
    test(`if ${call} fails, there is no chain, and the graph is as before`, () => {
      using driver = open()
      const captured = new Captured(driver)
      double.fail(call, 1, unknown)
      assert.ok(thrownBy(() => driver.graphs.chain(captured.graph)) instanceof CudaError)
      assert.deepEqual([double.alive().graphs, double.alive().executables], [1, 1])
      const chained = driver.graphs.chain(captured.graph)
      assert.equal(captured.run(chained), inOrder)
    })
  }

  test("if the dependencies cannot be removed, there is a chain and a warning", async () => {
    using driver = open()
    const captured = new Captured(driver)
    double.fail("cuGraphRemoveDependencies", 1, unknown)
    assert.equal(captured.run(driver.graphs.chain(captured.graph)), inOrder)
    assert.match(String(await takeWarnings()), /cuGraphRemoveDependencies/)
  })

  test("a capture that fails to become a chain leaves nothing, nor does an update of one", () => {
    using driver = open()
    const captured = new Captured(driver)
    double.fail("cuGraphAddDependencies", 1, unknown)
    assert.ok(thrownBy(() => captured.capture(1, undefined, true)) instanceof CudaError)
    assert.deepEqual([double.alive().graphs, double.alive().executables], [1, 1])
    const chained = captured.capture(2, undefined, true)
    double.fail("cuGraphAddDependencies", 1, unknown)
    assert.ok(thrownBy(() => captured.capture(3, chained, true)) instanceof CudaError)
    assert.equal(captured.run(chained), (((2 * 3 + 2) * 5 + 2) * 7 + 2) * 11 + 2)
    assert.equal(captured.capture(3, chained, true), chained)
    assert.equal(captured.run(chained), (((3 * 3 + 3) * 5 + 3) * 7 + 3) * 11 + 3)
    const again = driver.graphs.makeChangeable(chained)
    assert.notEqual(again, chained)
    assert.equal(captured.run(again), (((3 * 3 + 3) * 5 + 3) * 7 + 3) * 11 + 3)
  })
})

import assert from "node:assert/strict"
import { describe, it } from "node:test"
import type { TimedNode } from "../../src/driver/timeline.js"
import type { GraphOutline, OutlinedOperation } from "../../src/runtime/order/observer/graph-outline.js"
import { LaunchedGraph } from "../../src/trace/launched-graph.js"

function operation(label: string, until: number | undefined, after: readonly number[] = []): OutlinedOperation {
  return { kind: "launch", label, after, region: undefined, branch: undefined, until, part: undefined }
}

function node(name: string, place: number | undefined, start = 0, end = start + 1): TimedNode {
  return { kind: "kernel", name, branch: 0, graph: 1, place, iteration: undefined, start, end }
}

const graphOf = (...operations: OutlinedOperation[]) => new LaunchedGraph({ operations, regions: [] })

describe("§12 the operation of each node of a graph", () => {
  it("is found by the number of nodes that were captured before", () => {
    const graph = graphOf(operation("a", 1), operation("nothing", 1), operation("b", 4), operation("c", 5))
    assert.deepEqual(
      graph.match(
        [0, 1, 2, 3, 4].map((place) => node("abbbc".charAt(place), place)),
        true,
      ),
      [0, 2, 2, 2, 3],
    )
  })

  it("is unknown if the nodes contradict the graph: a place too many, a kernel of two names, a copy for a launch", () => {
    const graph = graphOf(operation("a", 1), operation("a", 2))
    assert.deepEqual(graph.match([node("x", 0), node("x", 1)], true), [0, 1])
    assert.deepEqual(graph.match([node("x", 0), node("y", undefined)], true), [0, undefined])
    assert.equal(graph.match([node("x", 1), node("x", 2)], true), undefined)
    assert.equal(graph.match([node("x", 0), node("y", 1)], true), undefined)
    assert.equal(graph.match([{ ...node("x", 0), kind: "copy" }], true), undefined)
  })

  it("is known of the launched graph's own nodes only, which the names of its kernels tell from those of graphs inside", () => {
    const graph = graphOf(operation("a", 1), operation("b", 2), { ...operation("graph", 3), kind: "graph" })
    const inside = (name: string, place: number): TimedNode => ({ ...node(name, place), graph: 2 })
    assert.deepEqual(graph.match([inside("c", 0), node("a", 0), node("b", 1), inside("a", 1)], true), [
      ...[undefined, 0, 1, undefined],
    ])
    // No kernel has the name that the program gave it, so either graph may be the launched one.
    assert.equal(graph.match([node("x", 0), inside("y", 0)], true), undefined)
    assert.deepEqual(graph.match([node("x", 0), inside("y", 3)], true), [0, undefined])
  })

  describe("with a graph inside, whose nodes", () => {
    const part: GraphOutline = { operations: [operation("a", 1), operation("b", 2, [0])], regions: [] }
    const loop: OutlinedOperation = { ...operation("while", 3, [0]), kind: "conditional", part }
    const graph = graphOf(operation("a", 1), loop, operation("c", 4, [1]))
    const run = (...places: number[]) =>
      ["a", "set", "a", "b", "set", "c"].map((name, index) => node(name, places[index], 2 * index))
    const found = [0, 1, undefined, undefined, undefined, 2]

    it("have a number of their own graph: a node of the launched graph is the first", () => {
      const nodes = run(0, 1, 0, 1, 2, 3).map((one, index) => ({ ...one, graph: Number(index > 1 && index < 5) }))
      assert.deepEqual(graph.match(nodes, true), found)
    })

    it("have numbers behind all others", () => {
      assert.deepEqual(graph.match(run(0, 1, 4, 5, 6, 3), true), found)
    })

    it("have numbers behind their operation", () => {
      assert.deepEqual(graph.match(run(0, 1, 3, 4, 5, 6), true), found)
    })

    it("have any numbers: operations behind them are known if kernels have their names, but no other name there", () => {
      assert.deepEqual(graph.match(run(0, 1, 20, 21, 22, 9), true), found)
      const renamed = run(0, 1, 3, 4, 5, 6).map((one) => ({ ...one, name: `new ${one.name}` }))
      assert.deepEqual(graph.match(renamed, true), found.with(5, undefined))
      const twice = run(0, 1, 3, 4, 5, 6).map((one) => ({ ...one, name: one.name.replace("b", "c") }))
      assert.deepEqual(graph.match(twice, true), found.with(5, undefined))
    })
  })

  it("is unknown if, on one clock, a node began before those that it runs after had ended", () => {
    const graph = graphOf(operation("a", 1), operation("b", 2, [0]))
    const nodes = [node("a", 0, 0, 2), node("b", 1, 1)]
    assert.equal(graph.match(nodes, true), undefined)
    assert.deepEqual(graph.match(nodes, false), [0, 1])
  })

  it("is unknown if the driver could not count the nodes", () => {
    assert.equal(graphOf(operation("a", undefined)).match([node("a", 0)], false), undefined)
  })

  it("operations that did not run pass on the order", () => {
    const graph = graphOf(operation("a", 1), operation("off", 2, [0]), operation("b", 3, [1]))
    assert.deepEqual([...graph.before(2, (one) => one !== 1)], [0])
    assert.deepEqual([...graph.before(2, () => true)], [1])
  })

  it("a graph inside counts with its own operations, or as one node, as the driver counts it", () => {
    const part: GraphOutline = { operations: [operation("a", 1), operation("b", 2, [0])], regions: [] }
    const launch = (until: number): OutlinedOperation => ({ ...operation("graph", until, [0]), kind: "graph", part })
    const whole = graphOf(operation("first", 1), launch(3), operation("last", 4, [1]))
    assert.deepEqual(
      whole.operations.map(({ label, after }) => [label, after]),
      [
        ["first", []],
        ["a", [0]],
        ["b", [1]],
        ["last", [2]],
      ],
    )
    const single = graphOf(operation("first", 1), launch(2), operation("last", 3, [1]))
    assert.deepEqual(
      single.operations.map(({ label }) => label),
      ["first", "graph", "last"],
    )
  })
})

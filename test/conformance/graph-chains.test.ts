/** The second executable of a captured graph, whose operations run one after another. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import { captureGraph, currentStream, type Device, type DeviceArray, type Graph, parallel } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"
import { change, valueOf } from "../support/two-branches.js"

const length = 4

/** A graph's chain. */
class Chained {
  readonly handle: number
  readonly #device: Device

  constructor({ device, state }: Graph<unknown>) {
    this.#device = device
    this.handle = device.order.driver.graphs.chain(state.handle)
  }

  launch(): void {
    this.#device.order.driver.graphs.launch(this.handle, currentStream(this.#device).state.handle)
  }

  [Symbol.dispose](): void {
    this.#device.synchronize()
    this.#device.order.driver.graphs.destroy(this.handle)
  }
}

/** Changes one array from three streams, in the order in which the functions are called. */
function threeBranches(x: DeviceArray<"int32">): Graph<unknown> {
  return captureGraph(() =>
    parallel([
      () => {
        change(x, 3, 1)
        change(x, 5, 2)
      },
      () => change(x, 7, 3),
      () => {
        change(x, 11, 4)
        change(x, 13, 5)
      },
    ]),
  )
}

/** What {@link threeBranches} does, in the order of the calls. */
function inOrder(value: number): number {
  const steps = [
    [3, 1],
    [5, 2],
    [7, 3],
    [11, 4],
    [13, 5],
  ]
  return steps.reduce((x, [scale = 1, offset = 0]) => Math.imul(x, scale) + offset, value)
}

forEachOpenDevice("chains of graphs", (open) => {
  test("§14 a chain runs the operations of all branches in the order of the calls", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    using graph = threeBranches(x)
    using chained = new Chained(graph)
    let expected = 0
    for (let round = 0; round < 20; round++) {
      chained.launch()
      expected = inOrder(expected)
      assert.equal(valueOf(x), expected, `round ${round}`)
    }
  })

  test("§14 in a chain, a branch waits for the branches that were called before it; in the graph it does not", () => {
    using device = open()
    using first = device.zeros("int32", length)
    using last = device.zeros("int32", length)
    using latch = new Latch(device)
    using graph = captureGraph(() =>
      parallel([() => change(first, 1, 1), () => latch.hold(), () => change(last, 1, 1)]),
    )
    using chained = new Chained(graph)
    using reader = device.createStream()
    const read = (x: DeviceArray<"int32">): number => reader.run(() => valueOf(x))
    chained.launch()
    latch.waitUntilEntered()
    assert.ok(isHeld(currentStream(device)))
    assert.deepEqual([read(first), read(last)], [1, 0])
    latch.open()
    device.synchronize()
    assert.deepEqual([read(first), read(last), latch.timedOut], [1, 1, false])
  })

  test("§14 the graph itself keeps its branches", unsanitized, () => {
    using device = open()
    using first = device.zeros("int32", length)
    using last = device.zeros("int32", length)
    using latch = new Latch(device)
    using graph = captureGraph(() =>
      parallel([() => change(first, 1, 1), () => latch.hold(), () => change(last, 1, 1)]),
    )
    using _chained = new Chained(graph)
    using reader = device.createStream()
    graph.launch()
    latch.waitUntilEntered()
    while (reader.run(() => valueOf(last)) === 0) assert.equal(latch.timedOut, false)
    assert.ok(isHeld(currentStream(device)))
    latch.open()
    device.synchronize()
  })

  test("§14 changes of nodes have the same handles in both, and each keeps its own", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = captureGraph(() => parallel([() => change(x, 0, 3), () => change(y, 0, 5), () => change(x, 1, 0)]))
    using chained = new Chained(graph)
    const { graphs } = device.order.driver
    const node = graph.state.capture.changes.handleOf(1)
    const kernel = affine.load(device)
    graphs.setNodeArguments(chained.handle, node, kernel, [length, { address: y.address, length }, 0, 7])
    chained.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [3, 7])
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [3, 5])
    graphs.setNodeEnabled(chained.handle, node, false)
    y.fill(0)
    chained.launch()
    assert.equal(valueOf(y), 0)
    graph.launch()
    assert.equal(valueOf(y), 5)
    graphs.setNodeEnabled(chained.handle, node, true)
    chained.launch()
    assert.equal(valueOf(y), 7)
  })

  test("§14 a chain's queued launches keep what they had when a node is changed", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => parallel([() => change(x, 10, 1), () => {}]))
    using chained = new Chained(graph)
    const { graphs } = device.order.driver
    const node = graph.state.capture.changes.handleOf(0)
    using latch = new Latch(device).hold()
    chained.launch()
    graphs.setNodeArguments(chained.handle, node, affine.load(device), [length, { address: x.address, length }, 10, 2])
    chained.launch()
    latch.open()
    assert.equal(valueOf(x), 12)
  })

  test("§14 either of the two can be destroyed first", () => {
    using device = open()
    using x = device.zeros("int32", length)
    const graph = captureGraph(() => parallel([() => change(x, 1, 1), () => {}]))
    const chained = new Chained(graph)
    chained.launch()
    chained[Symbol.dispose]()
    graph.launch()
    const again = new Chained(graph)
    again.launch()
    device.synchronize()
    graph.dispose()
    again.launch()
    assert.equal(valueOf(x), 4)
    again[Symbol.dispose]()
  })

  test("§14 a chain that is launched in a capture stays one", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    using inner = threeBranches(x)
    using chained = new Chained(inner)
    using graph = captureGraph(() => {
      change(x, 2, 0)
      chained.launch()
      change(x, 2, 1)
    })
    graph.launch()
    assert.equal(valueOf(x), Math.imul(inOrder(0), 2) + 1)
  })

  test("§14 a graph with another one inside: all of it runs in order", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using inner = captureGraph(() => parallel([() => change(x, 3, 1), () => change(y, 5, 2)]))
    using graph = captureGraph(() => {
      parallel([() => change(x, 2, 1), () => change(y, 2, 1)])
      inner.launch()
      parallel([() => change(x, 7, 1), () => change(y, 7, 1)])
    })
    using chained = new Chained(graph)
    chained.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [(1 * 3 + 1) * 7 + 1, (1 * 5 + 2) * 7 + 1])
  })

  test("§14 a capture can end as a chain at once, and be updated to one in place", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    const { driver } = device.order
    const { graphs } = driver
    const capture = (offset: number, update: number | undefined, isChained: boolean, more = 0): number => {
      using root = device.createStream()
      using aux = device.createStream()
      device.synchronize()
      const event = driver.events.create(false)
      const [main, other] = [root.state.handle, aux.state.handle]
      const launch = (stream: number, scale: number): void => {
        const args = [length, { address: x.address, length }, scale, offset]
        driver.kernels.launch(stream, affine.load(device), LaunchShape.of({ blockX: length }), args, undefined)
      }
      graphs.beginCapture(main)
      driver.events.record(event, main)
      launch(main, 3)
      driver.streams.wait(other, event)
      launch(other, 5)
      launch(main, 7)
      for (let time = 0; time < more; time++) launch(main, 1)
      driver.events.record(event, other)
      driver.streams.wait(main, event)
      driver.events.destroy(event)
      return graphs.endCapture(main, update, false, isChained)
    }
    const run = (graph: number): number => {
      x.fill(1)
      graphs.launch(graph, currentStream(device).state.handle)
      return valueOf(x)
    }
    const chained = capture(1, undefined, true)
    assert.equal(run(chained), ((1 * 3 + 1) * 5 + 1) * 7 + 1)
    assert.equal(capture(2, chained, true), chained)
    assert.equal(run(chained), ((1 * 3 + 2) * 5 + 2) * 7 + 2)
    const unchained = capture(3, chained, false)
    assert.notEqual(unchained, chained)
    const longer = capture(1, chained, true, 1)
    assert.notEqual(longer, chained)
    assert.equal(run(longer), ((1 * 3 + 1) * 5 + 1) * 7 + 1 + 1)
    assert.equal(run(chained), ((1 * 3 + 2) * 5 + 2) * 7 + 2)
    device.synchronize()
    for (const graph of [chained, unchained, longer]) graphs.destroy(graph)
  })

  test("§14 a chain of a graph with one operation, and of one with none", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using one = captureGraph(() => change(x, 1, 1))
    using none = captureGraph(() => {})
    using chained = new Chained(one)
    using empty = new Chained(none)
    chained.launch()
    empty.launch()
    assert.equal(valueOf(x), 1)
  })
})

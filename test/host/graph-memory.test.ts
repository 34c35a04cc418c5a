import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { ConditionalKind } from "../../src/driver/graphs.js"
import type { GraphHandle, StreamHandle } from "../../src/driver/handles.js"
import { HostDriver } from "../../src/host/driver.js"
import { EXTENT } from "../../src/host/control/layout.js"
import { collect } from "../support/collect.js"
import { launch, open, source } from "./device.js"

const nothing = source("nothing", [], "")

/** Words of the control memory that were ever reserved, for all queues and blocks. */
function extentOf(driver: Driver): number {
  assert.ok(driver instanceof HostDriver)
  return driver.control.words[EXTENT] ?? 0
}

/** Captures and launches of graphs with branches, conditionals and graphs inside. */
class Graphs {
  readonly #stream: StreamHandle
  readonly #condition: number

  constructor(readonly driver: Driver) {
    this.#stream = driver.streams.create(0)
    this.#condition = driver.memory.allocatePinned(4).address
  }

  #order(before: StreamHandle, behind: StreamHandle): void {
    const event = this.driver.events.create(false)
    this.driver.events.record(event, before)
    this.driver.streams.wait(behind, event)
    this.driver.events.destroy(event)
  }

  /** Captures this many launches on two branches, a body of `kind`, and `child`. */
  #capture(size: number, kind: ConditionalKind, child?: GraphHandle, update?: GraphHandle): GraphHandle {
    const { driver } = this
    const [root, other, body] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    const kernel = driver.kernels.load(nothing)
    driver.graphs.beginCapture(root)
    this.#order(root, other)
    for (let count = 0; count < size; count++) for (const stream of [root, other]) launch(driver, stream, kernel)
    driver.graphs.beginConditional(kind, this.#condition, other, body)
    launch(driver, body, kernel)
    driver.graphs.endConditional(body)
    this.#order(other, root)
    if (child !== undefined) driver.graphs.launch(child, root)
    const graph = driver.graphs.endCapture(root, update)
    for (const stream of [root, other, body]) driver.streams.destroy(stream)
    return graph
  }

  /** Four captures, twice as many launches, and three more. */
  round(size: number, launches: number): void {
    const { driver } = this
    const child = this.#capture(2, "if")
    const graph = this.#capture(size, "unless", child)
    for (let count = 0; count < launches; count++) driver.graphs.launch(graph, this.#stream)
    // The commands from before the update are kept for launches that are under way.
    assert.equal(this.#capture(size, "unless", child, graph), graph)
    for (let count = 0; count < launches; count++) driver.graphs.launch(graph, this.#stream)
    const other = this.#capture(size + 1, "while", child, graph)
    assert.notEqual(other, graph)
    for (const made of [graph, other, child]) driver.graphs.launch(made, this.#stream)
    driver.streams.synchronize(this.#stream)
    for (const made of [graph, other, child]) driver.graphs.destroy(made)
  }
}

test("§7 graphs: thousands of captures and launches take no more memory than some", async () => {
  using driver = open(2)
  const graphs = new Graphs(driver)
  const rounds = (count: number) => {
    for (let round = 0; round < count; round++) graphs.round(1 + (round % 7), 20)
  }
  rounds(200)
  await collect()
  const extent = extentOf(driver)
  const heaps = [process.memoryUsage().heapUsed]
  for (let part = 0; part < 3; part++) {
    rounds(300)
    await collect()
    assert.equal(extentOf(driver), extent)
    heaps.push(process.memoryUsage().heapUsed)
  }
  // A leak shows in every part. Code that the engine compiles meanwhile also takes memory, but only in one part.
  const growths = heaps.slice(1).map((heap, part) => heap - (heaps[part] ?? 0))
  assert.ok(Math.min(...growths) < 200_000, `the heap grew by ${growths.join(", ")} bytes`)
})

test("§7 captures: an event that was recorded in one does not hold what was captured", async () => {
  using driver = open()
  const kernel = driver.kernels.load(source("nothing", [], ""))
  const [stream, body] = [driver.streams.create(0), driver.streams.create(0)]
  const memory = driver.memory.allocatePinned(4)
  const ends: ((handle: StreamHandle) => void)[] = [
    (handle) => driver.graphs.destroy(driver.graphs.endCapture(handle, undefined)),
    (handle) => driver.graphs.cancelCapture(handle),
  ]
  const capture = (on: StreamHandle): void => {
    for (let count = 0; count < 2000; count++) launch(driver, on, kernel)
    driver.events.record(driver.events.create(false), on)
  }
  const buffers = async (): Promise<number> => {
    for (let count = 0; count < 3; count++) await collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = await buffers()
  for (let count = 0; count < 40; count++) {
    driver.graphs.beginCapture(stream)
    driver.graphs.beginConditional("if", memory.address, stream, body)
    capture(body)
    driver.graphs.endConditional(body)
    capture(stream)
    ends[count % 2]?.(stream)
  }
  const grown = (await buffers()) - before
  assert.ok(grown < 2 ** 20, `${grown} bytes`)
})

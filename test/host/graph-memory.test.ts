import assert from "node:assert/strict"
import { test } from "node:test"
import type { ConditionalKind, Driver, GraphHandle, StreamHandle } from "../../src/driver.js"
import { ControlMemory } from "../../src/host/control/control.js"
import { EXTENT } from "../../src/host/control/layout.js"
import { collect } from "../support/collect.js"
import { launch, open, source } from "./device.js"

const nothing = source("nothing", [], "")

/** Words of the control memory that were ever reserved, for all queues and blocks. */
function extentOf(driver: Driver): number {
  const control: unknown = Reflect.get(driver, "control")
  assert.ok(control instanceof ControlMemory)
  return control.words[EXTENT] ?? 0
}

/** Captures and launches of graphs with branches, conditionals and graphs inside. */
class Graphs {
  readonly #stream: StreamHandle
  readonly #condition: number

  constructor(readonly driver: Driver) {
    this.#stream = driver.createStream(0)
    this.#condition = driver.allocatePinned(4).address
  }

  #order(before: StreamHandle, behind: StreamHandle): void {
    const event = this.driver.createEvent(false)
    this.driver.recordEvent(event, before)
    this.driver.waitEvent(behind, event)
    this.driver.destroyEvent(event)
  }

  /** Captures this many launches on two branches, a body of `kind`, and `child`. */
  #capture(size: number, kind: ConditionalKind, child?: GraphHandle, update?: GraphHandle): GraphHandle {
    const { driver } = this
    const [root, other, body] = [driver.createStream(0), driver.createStream(0), driver.createStream(0)]
    const kernel = driver.loadKernel(nothing)
    driver.beginCapture(root)
    this.#order(root, other)
    for (let count = 0; count < size; count++) for (const stream of [root, other]) launch(driver, stream, kernel)
    driver.beginConditional(kind, this.#condition, other, body)
    launch(driver, body, kernel)
    driver.endConditional(body)
    this.#order(other, root)
    if (child !== undefined) driver.launchGraph(child, root)
    const graph = driver.endCapture(root, update)
    for (const stream of [root, other, body]) driver.destroyStream(stream)
    return graph
  }

  /** Four captures, twice as many launches, and three more. */
  round(size: number, launches: number): void {
    const { driver } = this
    const child = this.#capture(2, "if")
    const graph = this.#capture(size, "unless", child)
    for (let count = 0; count < launches; count++) driver.launchGraph(graph, this.#stream)
    // The commands from before the update are kept for launches that are under way.
    assert.equal(this.#capture(size, "unless", child, graph), graph)
    for (let count = 0; count < launches; count++) driver.launchGraph(graph, this.#stream)
    const other = this.#capture(size + 1, "while", child, graph)
    assert.notEqual(other, graph)
    for (const made of [graph, other, child]) driver.launchGraph(made, this.#stream)
    driver.synchronizeStream(this.#stream)
    for (const made of [graph, other, child]) driver.destroyGraph(made)
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
  const kernel = driver.loadKernel(source("nothing", [], ""))
  const [stream, body] = [driver.createStream(0), driver.createStream(0)]
  const memory = driver.allocatePinned(4)
  const ends: ((handle: StreamHandle) => void)[] = [
    (handle) => driver.destroyGraph(driver.endCapture(handle, undefined)),
    (handle) => driver.cancelCapture(handle),
  ]
  const capture = (on: StreamHandle): void => {
    for (let count = 0; count < 2000; count++) launch(driver, on, kernel)
    driver.recordEvent(driver.createEvent(false), on)
  }
  const buffers = async (): Promise<number> => {
    for (let count = 0; count < 3; count++) await collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = await buffers()
  for (let count = 0; count < 40; count++) {
    driver.beginCapture(stream)
    driver.beginConditional("if", memory.address, stream, body)
    capture(body)
    driver.endConditional(body)
    capture(stream)
    ends[count % 2]?.(stream)
  }
  const grown = (await buffers()) - before
  assert.ok(grown < 2 ** 20, `${grown} bytes`)
})

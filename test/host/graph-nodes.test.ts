import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { EventHandle, NodeHandle, StreamHandle } from "../../src/driver/handles.js"
import { HostDriver } from "../../src/host/driver.js"
import { EXTENT } from "../../src/host/control/layout.js"
import { launch, Latch, open, source } from "./device.js"

const add = source("add", ["inout int32*", "int32"], "args[0][0] += args[1]")

/** A graph of two branches, each with two launches that add to its own number. */
class Captured {
  readonly root: StreamHandle
  readonly other: StreamHandle
  readonly numbers: Int32Array
  readonly nodes: NodeHandle[] = []
  readonly graph: number
  readonly #address: number
  readonly #event: EventHandle

  constructor(readonly driver: Driver) {
    const memory = driver.memory.allocatePinned(16)
    this.#address = memory.address
    this.numbers = new Int32Array(memory.buffer, memory.byteOffset, 4)
    this.root = driver.streams.create(0)
    this.other = driver.streams.create(0)
    this.#event = driver.events.create(false)
    driver.graphs.beginCapture(this.root)
    this.#order(this.root, this.other)
    for (const value of [1, 10]) {
      this.#launch(this.root, 0, value)
      this.#launch(this.other, 1, value)
    }
    this.#order(this.other, this.root)
    this.graph = driver.graphs.endCapture(this.root, undefined)
  }

  #order(before: StreamHandle, behind: StreamHandle): void {
    this.driver.events.record(this.#event, before)
    this.driver.streams.wait(behind, this.#event)
  }

  #launch(stream: StreamHandle, index: number, value: number): void {
    launch(this.driver, stream, this.driver.kernels.load(add), { address: this.#address + 4 * index, length: 1 }, value)
    this.nodes.push(this.driver.graphs.capturedNode(stream))
  }

  set(node: number, index: number, value: number): void {
    const args = [{ address: this.#address + 4 * index, length: 1 }, value]
    this.driver.graphs.setNodeArguments(this.graph, this.nodes[node] ?? -1, this.driver.kernels.load(add), args)
  }

  enable(node: number, enabled: boolean): void {
    this.driver.graphs.setNodeEnabled(this.graph, this.nodes[node] ?? -1, enabled)
  }

  run(times = 1): number[] {
    this.numbers.fill(0)
    for (let time = 0; time < times; time++) this.driver.graphs.launch(this.graph, this.root)
    this.driver.streams.synchronize(this.root)
    return [...this.numbers]
  }
}

describe("nodes of graphs on the host", () => {
  test("a change counts for launches by one worker and by several", () => {
    using driver = open(4)
    const captured = new Captured(driver)
    // The first launches are measured; later ones of such small kernels are flat, and made again by each change.
    for (let round = 1; round <= 100; round++) {
      captured.set(1, 2, round)
      captured.enable(2, round % 2 === 0)
      assert.deepEqual(captured.run(2), [round % 2 === 0 ? 22 : 2, 20, 2 * round, 0], `round ${round}`)
    }
  })

  test("queued launches keep the commands from before the change, however many there are", () => {
    using driver = open(4)
    const captured = new Captured(driver)
    captured.run(50)
    captured.numbers.fill(0)
    const latch = new Latch(driver)
    latch.hold(captured.root)
    for (let round = 1; round <= 20; round++) {
      driver.graphs.launch(captured.graph, captured.root)
      captured.set(0, 3, round)
    }
    latch.open()
    driver.streams.synchronize(captured.root)
    // The first launch adds 1 to its own number, the others what the change before them says.
    assert.deepEqual([...captured.numbers], [1 + 200, 220, 0, (19 * 20) / 2])
  })

  test("10 000 changes between launches reuse the same memory", () => {
    using driver = open(2)
    const captured = new Captured(driver)
    const extent = (): number => {
      assert.ok(driver instanceof HostDriver)
      return driver.control.words[EXTENT] ?? 0
    }
    const change = (times: number): void => {
      for (let time = 0; time < times; time++) {
        captured.set(0, 0, 1)
        captured.enable(3, time % 2 === 0)
        driver.graphs.launch(captured.graph, captured.root)
        if (time % 10 === 0) driver.streams.synchronize(captured.root)
      }
      driver.streams.synchronize(captured.root)
    }
    change(1000)
    const before = extent()
    change(10_000)
    assert.equal(extent(), before)
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import type { BranchBlock } from "../../../src/host/graph/branch-block.js"
import { ControlMemory } from "../../../src/host/control/control.js"
import { ALONE, MEASURED } from "../../../src/host/control/layout.js"
import { Pace } from "../../../src/host/graph/pace.js"
import { ChunkPool, StreamSlot } from "../../../src/host/queue/stream.js"

/** Launches a graph of two branches whose times the test chooses. */
class Launches {
  readonly #control = ControlMemory.create()
  readonly #end = { slot: new StreamSlot(this.#control, new ChunkPool(this.#control)), position: 0 }
  readonly pace = new Pace()
  readonly #branches: BranchBlock[]
  measured = 0

  constructor(waits: number) {
    this.#branches = [0, 1].map(() => ({
      block: this.#control.reserve(2),
      length: 2,
      count: 1,
      level: 0,
      firstWait: undefined,
      shape: [],
      calls: [0],
      waits,
    }))
  }

  /** Launches this many times; the branches take these times, in milliseconds. @returns how the last launch was run */
  run(count: number, time: number): "alone" | "by several" {
    let how = 0
    for (let launch = 0; launch < count; launch++) {
      how = this.pace.choose(this.#branches, this.#end, this.#control)
      if ((how & MEASURED) === 0) continue
      this.measured++
      for (const { block } of this.#branches) this.#control.doubles[block / 2] = time
    }
    return (how & ALONE) === 0 ? "by several" : "alone"
  }
}

test("several workers run a graph before it is measured, and a graph whose branches take long", () => {
  const launches = new Launches(2)
  assert.equal(launches.run(1, 5), "by several")
  assert.equal(launches.run(1000, 5), "by several")
})

test("one worker soon runs a graph of small kernels, which is then rarely measured", () => {
  const launches = new Launches(2)
  assert.equal(launches.run(10, 0.001), "alone")
  launches.measured = 0
  assert.equal(launches.run(1000, 0.001), "alone")
  assert.ok(launches.measured < 50, `${launches.measured} were measured`)
})

test("the decision weighs the cost of passing branches between workers against the time saved", () => {
  assert.equal(new Launches(2).run(10, 0.1), "by several")
  assert.equal(new Launches(200).run(10, 0.1), "alone")
})

test("one delayed launch of small kernels does not change the decision, on any number of cores; kernels that stay slower do, and so does their becoming faster again", () => {
  const launches = new Launches(2)
  launches.run(40, 0.004)
  launches.measured = 0
  while (launches.measured === 0) launches.run(1, 50)
  assert.equal(launches.run(1, 0.004), "alone")
  assert.equal(launches.run(100, 0.004), "alone")
  assert.equal(launches.run(100, 50), "by several")
  assert.equal(launches.run(100, 0.004), "alone")
})

test("after an update the graph is measured again, and the decision stays until then", () => {
  const launches = new Launches(2)
  launches.run(40, 0.001)
  launches.measured = 0
  launches.pace.forget()
  assert.equal(launches.run(1, 0.001), "alone")
  assert.equal(launches.measured, 1)
})

test("after a standstill several workers run the graph, for more launches each time, until it is updated", () => {
  const launches = new Launches(2)
  launches.run(40, 0.001)
  const countOfSeveral = () => {
    launches.pace.distrust()
    let count = 0
    while (launches.run(1, 0.001) === "by several") count++
    return count
  }
  const [first, second] = [countOfSeveral(), countOfSeveral()]
  assert.ok(first > 0 && second === 2 * first, `${first}, then ${second}`)
  launches.pace.distrust()
  launches.pace.forget()
  assert.equal(launches.run(1, 0.001), "alone")
  assert.equal(countOfSeveral(), first)
})

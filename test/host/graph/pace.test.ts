import assert from "node:assert/strict"
import { test } from "node:test"
import type { BranchBlock } from "../../../src/host/graph/branch-block.js"
import { ControlMemory } from "../../../src/host/control/control.js"
import { ALONE, MEASURED } from "../../../src/host/control/layout.js"
import { Pace } from "../../../src/host/graph/pace.js"
import { ChunkPool, StreamSlot } from "../../../src/host/queue/stream.js"

/** Launches of a graph of two branches, whose times are what the test says. */
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
      waits,
    }))
  }

  /** So many launches whose branches take so long, in milliseconds; how the last one was run. */
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

test("a graph that nothing is known of is run by several workers, and so is one whose branches take long", () => {
  const launches = new Launches(2)
  assert.equal(launches.run(1, 5), "by several")
  assert.equal(launches.run(1000, 5), "by several")
})

test("a graph of small kernels is soon run by one worker, and hardly ever measured", () => {
  const launches = new Launches(2)
  assert.equal(launches.run(10, 0.001), "alone")
  launches.measured = 0
  assert.equal(launches.run(1000, 0.001), "alone")
  assert.ok(launches.measured < 50, `${launches.measured} were measured`)
})

test("what passing branches between workers costs is set against what that saves", () => {
  assert.equal(new Launches(2).run(10, 0.1), "by several")
  assert.equal(new Launches(200).run(10, 0.1), "alone")
})

test("one launch that others held up changes nothing; kernels that take longer from now on do, and back", () => {
  const launches = new Launches(2)
  launches.run(40, 0.01)
  launches.measured = 0
  while (launches.measured === 0) launches.run(1, 50)
  assert.equal(launches.run(1, 0.01), "alone")
  assert.equal(launches.run(100, 0.01), "alone")
  assert.equal(launches.run(100, 50), "by several")
  assert.equal(launches.run(100, 0.01), "alone")
})

test("an update is measured anew, and the decision stays until then", () => {
  const launches = new Launches(2)
  launches.run(40, 0.001)
  launches.measured = 0
  launches.pace.forget()
  assert.equal(launches.run(1, 0.001), "alone")
  assert.equal(launches.measured, 1)
})

test("after a standstill several workers run it, for longer each time, until it is updated", () => {
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

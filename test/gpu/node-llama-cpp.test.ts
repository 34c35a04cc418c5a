/** §4, §7: this process opens llama.cpp first, then a device of auxstream. */
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { captureGraph } from "../../src/index.js"
import { isHeld, Latch } from "../support/latch.js"
import { Layers } from "./layers.js"
import { findLlama, type Step, type TinyLlama } from "./node-llama-cpp.js"

const found = findLlama()
const skip = "missing" in found ? found.missing : false
// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

describe(`beside ${"name" in found ? found.name : "node-llama-cpp"}`, { skip }, () => {
  if ("missing" in found) return
  const { openLlama, openOurs } = found
  let llama: TinyLlama
  /** Its results while no device of auxstream is open. */
  let alone: readonly Step[]

  before(async () => {
    llama = await openLlama()
    alone = await llama.evaluate()
  })
  after(() => llama.dispose())

  test("its results are equal each time, and not one repeated token", async () => {
    assert.deepEqual(await llama.evaluate(), alone)
    assert.ok(new Set(alone.map(({ token }) => token)).size > 5)
  })

  test("§7 held streams of auxstream neither block it nor change its results", async () => {
    using device = openOurs()
    const layers = new Layers(device)
    using other = device.createStream()
    device.synchronize()
    using latch = new Latch(device).hold().hold(other)
    layers.queue(20)
    assert.deepEqual(await llama.evaluate(), alone)
    assert.ok(isHeld(device.defaultStream) && isHeld(other))
    latch.open()
    await layers.check()
    assert.equal(latch.timedOut, false)
  })

  test("§5 fork-joins are correct and end while it evaluates", async () => {
    using device = openOurs()
    const layers = new Layers(device)
    // Rounds within one evaluation. On few cores there may not be many.
    let within = 0
    for (let turn = 0; turn < 100 && within < 10; turn++) {
      const evaluation = llama.start()
      while (!evaluation.isOver) {
        await layers.queue(20).check()
        if (!evaluation.isOver) within++
      }
      assert.deepEqual(await evaluation.steps, alone)
    }
    assert.ok(within >= 10, `${within} rounds`)
  })

  test("§7 a capture during its evaluation invalidates nothing on either side", async () => {
    using device = openOurs()
    const layers = new Layers(device)
    using graph = await captureGraph(
      async () => {
        layers.queue(5)
        assert.deepEqual(await llama.evaluate(), alone)
        layers.queue(5)
      },
      { device },
    )
    const evaluation = llama.evaluate()
    graph.launch()
    await layers.check()
    assert.deepEqual(await evaluation, alone)
  })

  test("§8 opening and disposing of our device repeatedly does not disturb it", async () => {
    for (let turn = 0; turn < 5; turn++) {
      const device = openOurs()
      const layers = new Layers(device).queue(20)
      const evaluation = llama.evaluate()
      if (turn % 2 === 0) await layers.check()
      device.dispose()
      assert.deepEqual(await evaluation, alone)
    }
    assert.deepEqual(await llama.evaluate(), alone)
  })

  test("§8 after it is disposed of, our device still works, and it can be loaded again", async () => {
    using device = openOurs()
    const layers = new Layers(device).queue(20)
    await llama.dispose()
    await layers.queue(20).check()
    llama = await openLlama()
    layers.queue(20)
    assert.deepEqual(await llama.evaluate(), alone)
    await layers.check()
  })
})

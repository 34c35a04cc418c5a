/** §4, §7: a device of ours is in this process first, then llama.cpp beside it. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { isHeld, Latch } from "../support/latch.js"
import { Layers } from "./layers.js"
import { findLlama } from "./node-llama-cpp.js"

const found = findLlama()
const skip = "missing" in found ? found.missing : false
// Said beside the test reporter's own line, which is easily missed.
if (skip !== false) process.emitWarning(skip)

describe(`before ${"name" in found ? found.name : "node-llama-cpp"}`, { skip }, () => {
  if ("missing" in found) return
  const { openLlama, openOurs } = found

  test("§8 either goes on when the other is disposed of", async () => {
    const first = openOurs()
    const layers = new Layers(first)
    await layers.queue(20).check()

    layers.queue(20)
    const llama = await openLlama()
    await layers.queue(20).check()
    const latch = new Latch(first).hold()
    layers.queue(20)
    const beside = await llama.evaluate()
    assert.ok(isHeld(first.defaultStream))
    latch.open()
    await layers.check()
    assert.equal(latch.timedOut, false)

    first.dispose()
    const alone = await llama.evaluate()
    assert.deepEqual(beside, alone)

    using second = openOurs()
    const more = new Layers(second)
    const evaluation = llama.evaluate()
    await more.queue(20).check()
    assert.deepEqual(await evaluation, alone)
    await llama.dispose()
    await more.queue(20).check()
  })
})

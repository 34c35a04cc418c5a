/** §4, §7: this process opens a device of auxstream first, then llama.cpp. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { isHeld, Latch } from "../support/latch.js"
import { Layers } from "./layers.js"
import { findLlama } from "./node-llama-cpp.js"

const found = findLlama()
const skip = "missing" in found ? found.missing : false
// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

describe(`before ${"name" in found ? found.name : "node-llama-cpp"}`, { skip }, () => {
  if ("missing" in found) return
  const { openLlama, openOurs } = found

  test("§8 each still works after the other is disposed of", async () => {
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

import assert from "node:assert/strict"
import { test } from "node:test"
import { ControlMemory } from "../../../src/host/control/control.js"
import { PROGRESS_LOW } from "../../../src/host/control/layout.js"
import { ChunkPool, StreamSlot } from "../../../src/host/queue/stream.js"

for (const done of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 45 - 1]) {
  test(`a stream that has run ${done} commands has passed exactly those, however many are queued`, () => {
    const control = ControlMemory.create()
    for (const queued of [0, 1, 2, 1000, 2 ** 20]) {
      const slot = new StreamSlot(control, new ChunkPool(control))
      slot.tail = done + queued
      control.words[slot.block + PROGRESS_LOW] = done
      assert.equal(slot.hasPassed(done + 1), false)
      assert.equal(slot.hasPassed(done), true)
      assert.equal(slot.isIdle(), queued === 0)
    }
  })
}

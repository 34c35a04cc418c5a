import assert from "node:assert/strict"
import { test } from "node:test"
import { launch, open, source } from "./device.js"

/** Signals the other kernels and, if the latch is set, waits for theirs for at most five seconds. Writes -1 after that. */
const meet = source(
  "meet",
  ["inout int32*", "int32", "int32"],
  `const [words, own, count] = args
   if (Atomics.load(words, 0) === 0) return
   Atomics.store(words, own, 1)
   const end = performance.now() + 60_000
   for (let other = 1; other <= count; other++)
     while (Atomics.load(words, other) === 0) if (performance.now() > end) return void Atomics.store(words, 0, -1)`,
)

/** A graph has this many branches, each with a kernel that waits for those of the others. */
for (const branches of [2, 3, 4]) {
  test(`${branches} branches of a graph that one worker has run may still wait for each other`, () => {
    using driver = open(branches)
    const memory = driver.memory.allocatePinned(64)
    const range = { address: memory.address, length: 16 }
    const words = new Int32Array(memory.buffer, memory.byteOffset, 16)
    const [event, kernel, stream] = [driver.events.create(false), driver.kernels.load(meet), driver.streams.create(0)]
    const order = (before: number, behind: number) => {
      driver.events.record(event, before)
      driver.streams.wait(behind, event)
    }
    const [root = 0, ...others] = Array.from({ length: branches }, () => driver.streams.create(0))
    driver.graphs.beginCapture(root)
    for (const other of others) order(root, other)
    for (const [index, branch] of [root, ...others].entries())
      launch(driver, branch, kernel, range, index + 1, branches)
    for (const other of others) order(other, root)
    const graph = driver.graphs.endCapture(root, undefined)

    const launchOnce = () => {
      driver.graphs.launch(graph, stream)
      driver.streams.synchronize(stream)
    }
    for (let round = 0; round < 5; round++) {
      words.fill(0)
      for (let count = 0; count < 300; count++) launchOnce()
      for (let count = 0; count < 3; count++) {
        words.fill(0)
        words[0] = 1
        launchOnce()
        assert.equal(words[0], 1, "a kernel has waited in vain")
      }
    }
  })
}

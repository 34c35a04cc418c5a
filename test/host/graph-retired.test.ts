import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import type { Branch } from "../../src/host/branch.js"
import { IDLE, STATE } from "../../src/host/layout.js"
import { Threadless, aroundGivingBack, launchOn } from "./threadless.js"

/** A branch that waits once more behind its join. */
function captureWithLastWait(device: Threadless): number {
  return device.capture((main: Branch, fork: () => Branch) => {
    launchOn(main, 1)
    const aux = fork()
    aux.waitFor(main.record())
    launchOn(aux, 2)
    main.waitFor(aux.record())
    launchOn(main, 3)
    aux.waitFor(main.record())
  })
}

const blocksOf = (device: Threadless, graph: number) => device.graph(graph).branches.map(({ block }) => block)

afterEach(() => mock.restoreAll())

test("a branch that ends with a wait keeps its memory until it has read that, though the launch has come to its end", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = captureWithLastWait(device)
  const blocks = blocksOf(device, graph)
  let second: readonly number[] | undefined
  const atEnd = () => {
    if (second !== undefined || !stream.slot.isIdle()) return
    const isReading = device.made.some(({ slot }) => !slot.isIdle())
    assert.ok(isReading, "the branch has its wait to read still")
    device.destroy(graph)
    second = blocksOf(device, captureWithLastWait(device))
    // Here, as a worker that reads what is another graph's by then may never come back.
    const shared = second.filter((block) => blocks.includes(block))
    assert.deepEqual(shared, [])
  }
  aroundGivingBack(() => (stream.slot.isIdle() ? stream.slot.block : undefined), atEnd)
  device.launch(graph, stream)
  device.work()
  assert.deepEqual(device.run, [1, 2, 3])
  assert.ok(second)
  const third = blocksOf(device, captureWithLastWait(device))
  assert.deepEqual(new Set(third), new Set(blocks))
})

test("an interrupted run's stand-by streams have read a graph's memory before it is another's", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = captureWithLastWait(device)
  const blocks = blocksOf(device, graph)
  device.makeFlat(graph, stream)
  const standBy = device.graph(graph).flat?.streams ?? []
  assert.equal(standBy.length, 1)
  device.inKernel = (value) => {
    if (value === 3) device.interrupt()
  }
  let second: readonly number[] | undefined
  const atEnd = () => {
    if (second !== undefined || !stream.slot.isIdle()) return
    const { words } = device.control
    assert.ok(
      standBy.some((block) => words[block + STATE] !== IDLE),
      "a branch that was given away has its wait to read still",
    )
    device.destroy(graph)
    second = blocksOf(device, captureWithLastWait(device))
    const shared = second.filter((block) => blocks.includes(block))
    assert.deepEqual(shared, [])
  }
  aroundGivingBack(() => (stream.slot.isIdle() ? stream.slot.block : undefined), atEnd)
  device.launch(graph, stream)
  device.work()
  assert.deepEqual(device.run, [1, 2, 3])
  assert.ok(second)
  const third = blocksOf(device, captureWithLastWait(device))
  assert.deepEqual(new Set(third), new Set(blocks))
})

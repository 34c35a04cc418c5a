import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import type { Branch } from "../../src/host/queue/branch.js"
import { IDLE, STATE } from "../../src/host/control/layout.js"
import type { HostStream } from "../../src/host/queue/stream.js"
import { Threadless, aroundGivingBack, launchOn } from "./threadless.js"

/** A branch that waits again after its join. */
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

/**
 * Launches a graph. At the end of the launch, while a branch must still read its wait, destroys the graph and captures
 * another one, which must not get its memory: a worker that reads another graph's commands might never return. A third
 * graph gets the memory.
 */
function replaceAtEnd(device: Threadless, graph: number, stream: HostStream, isReading: () => boolean): void {
  const blocks = blocksOf(device, graph)
  let second: readonly number[] | undefined
  const atEnd = () => {
    if (second !== undefined || !stream.slot.isIdle()) return
    assert.ok(isReading(), "a branch has its wait to read still")
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
}

test("a branch that ends with a wait keeps its memory until a worker has read the wait, even after the launch is complete", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = captureWithLastWait(device)
  replaceAtEnd(device, graph, stream, () => device.made.some(({ slot }) => !slot.isIdle()))
})

test("a graph's memory is not reused before the streams of an interrupted run have read it", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = captureWithLastWait(device)
  device.makeFlat(graph, stream)
  const standBy = device.graph(graph).flat?.streams ?? []
  assert.equal(standBy.length, 1)
  device.inKernel = (value) => {
    if (value === 3) device.interrupt()
  }
  const { words } = device.control
  replaceAtEnd(device, graph, stream, () => standBy.some((block) => words[block + STATE] !== IDLE))
})

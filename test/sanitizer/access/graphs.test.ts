import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  defineKernel,
  type Device,
  fork,
  runIf,
  runWhile,
  startTrace,
  type Stream,
} from "../../../src/index.js"
import { affine, once, prepare } from "../../support/kernels.js"
import { isHeld, Latch } from "../../support/latch.js"
import { openHost, Seen } from "./seen.js"

const change = defineKernel({
  name: "change",
  signature: ["in int32*"],
  host: { source: "export function change(launch, x) { x[0]++ }" },
})
const part = defineKernel({
  name: "part",
  signature: ["out int32*"],
  host: { source: "export function part(launch, x) { x[0] = 9 }" },
})

/** A graph with a bad launch on each of two branches. */
function branched(device: Device) {
  const [x, y] = [device.zeros("int32", 4), device.zeros("int32", 4)]
  const graph = captureGraph(
    () => {
      const branch = fork(() => change.launch(once, y))
      change.launch(once, x)
      branch.join()
      affine.launch(once, 4, x, 1, 1)
    },
    { device },
  )
  const dispose = () => {
    for (const each of [graph, x, y]) each.dispose()
  }
  return { graph, x, y, [Symbol.dispose]: dispose }
}

test("§13 launches in all branches of a graph are checked, at every launch, side by side or flat", async () => {
  using seen = new Seen()
  using device = openHost()
  using made = branched(device)
  // The first launches run the branches side by side, later ones flat.
  for (let count = 0; count < 40; count++) made.graph.launch()
  assert.deepEqual(await seen.on(device), Array<string>(80).fill("change(0) written 0..4"))
  assert.deepEqual([made.x.readSync()[0], made.y.readSync()[0]], [80, 40])
})

test("§13 a graph captured before the checks began is checked, and no longer when they have stopped", async () => {
  using device = openHost()
  using made = branched(device)
  made.graph.launch()
  using seen = new Seen()
  made.graph.launch()
  assert.equal((await seen.on(device)).length, 2)
  seen.stop()
  made.graph.launch()
  assert.deepEqual(await seen.on(device), [])
  assert.deepEqual([made.x.readSync()[0], made.y.readSync()[0]], [6, 3])
})

test("§13 the bodies of conditionals are checked, once for each run", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  using count = device.from(Int32Array.of(3))
  using yes = device.from(Int32Array.of(1))
  using graph = captureGraph(
    () => {
      runWhile(count, () => {
        change.launch(once, x)
        runIf(yes, () => change.launch(once, x.subarray(1)))
        affine.launch(once, 1, count, 1, -1)
      })
      change.launch(once, x.subarray(2))
    },
    { device },
  )
  graph.launch()
  assert.equal((await seen.on(device)).length, 7)
  assert.deepEqual([...x.readSync()], [3, 3, 1, 0])
})

test("§13 a graph inside a graph is checked", async () => {
  using seen = new Seen()
  using device = openHost()
  using made = branched(device)
  using outer = captureGraph(
    () => {
      made.graph.launch()
      made.graph.launch()
    },
    { device },
  )
  made.graph.launch()
  outer.launch()
  assert.equal((await seen.on(device)).length, 6)
})

test("§13 nodes are checked with their present arguments, and not if they are disabled; an update is, too", async () => {
  using seen = new Seen({ accessModes: true, unwritten: true })
  using device = openHost()
  using x = device.zeros("int32", 4)
  using y = device.zeros("int32", 4)
  const capture = () => {
    change.launch(once, x)
    part.launch(once, x)
  }
  using graph = captureGraph(capture, { device })
  graph.launch()
  assert.deepEqual(await seen.on(device), ["change(0) written 0..4", "part(0) unwritten 4..16"])
  const [first, second] = graph.nodes
  assert.ok(first !== undefined && second !== undefined)
  second.enabled = false
  graph.launch()
  assert.deepEqual(await seen.on(device), ["change(0) written 0..4"])
  first.setArguments(y)
  second.enabled = true
  second.setArguments(y.subarray(2))
  graph.launch()
  assert.deepEqual(await seen.on(device), ["change(0) written 0..4", "part(0) unwritten 4..8"])
  assert.deepEqual([...x.readSync(), ...y.readSync()], [10, 0, 0, 0, 1, 0, 9, 0])
  graph.update(() => affine.launch(once, 4, x, 1, 1))
  graph.launch()
  assert.deepEqual(await seen.on(device), [])
})

test("§13 in a graph, bytes that any of its kernels may write by `uses` are exempt", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  using graph = captureGraph(
    () => {
      change.launch({ ...once, uses: { writes: [x.subarray(0, 1)] } }, x)
      change.launch(once, x)
      change.launch(once, x.subarray(1))
    },
    { device },
  )
  graph.launch()
  assert.deepEqual(await seen.on(device), ["change(0) written 0..4"])
  assert.deepEqual([...x.readSync()], [2, 1, 0, 0])
})

test("§13 launches of one graph stay in order, with and without checks, and it can be disposed of at once", async () => {
  using device = openHost()
  using x = device.from(Int32Array.of(1, 2, 3, 4))
  const streams = [device.createStream(), device.createStream(), device.defaultStream]
  const graph = captureGraph(
    () => {
      const branch = fork(() => affine.launch(once, 2, x.subarray(2), 3, 5))
      affine.launch(once, 2, x.subarray(0, 2), 5, 3)
      branch.join()
    },
    { device },
  )
  device.synchronize()
  const model = [1, 2, 3, 4]
  for (let count = 0; count < 60; count++) {
    using seen = count % 3 === 0 ? undefined : new Seen()
    for (const stream of streams) {
      graph.launch(stream)
      for (let index = 0; index < 4; index++) {
        const [a, b] = index < 2 ? [5, 3] : [3, 5]
        model[index] = (Math.imul(model[index] ?? 0, a) + b) | 0
      }
    }
    seen?.stop()
  }
  graph.dispose()
  device.synchronize()
  assert.deepEqual([...x.readSync()], model)
})

test("a trace shows checked launches and checked graphs by their names, like others", async () => {
  using seen = new Seen({ accessModes: true, pinned: true })
  using device = openHost()
  using made = branched(device)
  using pinned = device.pinned("int32", 4)
  const trace = startTrace()
  affine.launch(once, 4, made.x, 1, 1)
  made.x.copyFrom(pinned)
  made.graph.launch()
  const { data } = await trace.stop()
  const names = data.spans.map(({ name }) => name)
  for (const name of ["test_affine", "copy", "change"])
    assert.ok(names.includes(name), `${name} in ${names.join(", ")}`)
  assert.equal(names.filter((name) => name === "change").length, 2)
  assert.equal((await seen.on(device)).length, 2)
})

test("§7 a launch runs behind the graph's latest one on another stream, whichever of the two is checked", async () => {
  using device = openHost()
  await prepare(device)
  using x = device.zeros("int32", 4)
  using graph = captureGraph(() => affine.launch(once, 4, x, 2, 1), { device })
  const [first, second] = [device.createStream(), device.createStream()]
  const launch = (stream: Stream, isChecked: boolean) => {
    using seen = isChecked ? new Seen() : undefined
    graph.launch(stream)
    seen?.stop()
  }
  device.synchronize()
  for (const [one, other] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    using latch = new Latch(device).hold(first)
    launch(first, one)
    launch(second, other)
    assert.equal(isHeld(second), true, `${one} then ${other}`)
    latch.open()
    second.synchronize()
    assert.equal(latch.timedOut, false)
  }
  assert.equal(x.readSync()[0], 63)
})

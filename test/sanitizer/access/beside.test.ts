import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, defineKernel } from "../../../src/index.js"
import { get, I32, wasmModule } from "../../host/wasm.js"
import { once } from "../../support/kernels.js"
import { openHost, Seen } from "./seen.js"

/** Adds 1 so many bytes behind the beginning of its array. */
const place = [...get(0), ...get(1), 0x6a]
const code = [...place, ...place, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0]
const wasm = wasmModule({ parameters: [I32, I32], code })
const store = defineKernel({ name: "store", signature: ["inout int32*", "int32"], host: { wasm, export: "k" } })
/** The same in JavaScript, through the buffer of its array. */
const reach = defineKernel({
  name: "reach",
  signature: ["inout int32*", "int32"],
  host: { source: "export function reach(launch, x, to) { new Int32Array(x.buffer, x.byteOffset + to, 1)[0]++ }" },
})

test("§13 a kernel that writes up to 256 bytes before its array, or behind it, is reported", async () => {
  using seen = new Seen()
  using device = openHost()
  for (const length of [1, 63, 64, 65, 256]) {
    using x = device.zeros("int32", length)
    const end = 4 * length
    for (const kernel of [store, reach]) {
      for (const offset of [0, end - 4, end, end + 252, -4, -256]) kernel.launch(once, x, offset)
      const found = [end, end + 252, -4, -256].map((at) => `${kernel.name}(0) beside ${at}..${at + 1}`)
      assert.deepEqual(await seen.on(device), found, `${length} elements`)
    }
  }
})

test("§13 of several arrays, the one is named whose memory is beside what was written; a view counts from its beginning", async () => {
  using seen = new Seen()
  using device = openHost()
  const two = defineKernel({
    name: "two",
    signature: ["in int32*", { struct: { y: "inout int32*" } }, "int32"],
    host: { source: "export function two(launch, x, { y }, to) { new Int32Array(x.buffer, to, 1)[0]++ }" },
  })
  using x = device.zeros("int32", 64)
  using y = device.zeros("int32", 64)
  two.launch(once, x, { y: y.subarray(32, 48) }, y.address + 256)
  two.launch(once, x, { y }, x.address - 4)
  assert.deepEqual(await seen.on(device), ["two(1.y) beside 128..129", "two(0) beside -4..-3"])
})

test("§13 arrays of other streams beside it, and pinned memory, do not disturb the check, nor do frees and new arrays", async () => {
  using seen = new Seen()
  using device = openHost()
  using stream = device.createStream()
  using pinned = device.pinned("int32", 64)
  for (let round = 0; round < 50; round++) {
    using x = device.zeros("int32", 64)
    using y = stream.run(() => device.full("int32", 64 + round, round))
    store.launch(once, x, 252)
    store.launch({ ...once, stream }, y, 0)
    store.launch(once, pinned, 4)
  }
  assert.deepEqual(await seen.on(device), [])
  store.launch(once, pinned, 256)
  assert.deepEqual(await seen.on(device), ["store(0) beside 256..257"])
})

test("an array that is older than the checks has fewer bytes behind it: those up to a multiple of 256", async () => {
  using device = openHost()
  using x = device.zeros("int32", 63)
  using after = device.zeros("int32", 64)
  using seen = new Seen()
  store.launch(once, x, 252)
  store.launch(once, x, 256)
  assert.deepEqual(await seen.on(device), ["store(0) beside 252..253"])
  assert.equal(after.readSync()[0], 1, "the neighbour that nothing saw")
})

test("§13 memory made inside a graph is checked, too", async () => {
  using seen = new Seen()
  using device = openHost()
  using graph = captureGraph(
    () => {
      const x = device.zeros("int32", 64)
      store.launch(once, x, 256)
      return x
    },
    { device },
  )
  graph.launch()
  assert.deepEqual(await seen.on(device), ["store(0) beside 256..257"])
})

test("device.memory counts the arrays' own bytes, without what lies beside them", () => {
  using seen = new Seen()
  using device = openHost()
  const { used } = device.memory
  using x = device.empty("int32", 100)
  assert.equal(device.memory.used, used + x.byteLength)
  seen.stop()
})

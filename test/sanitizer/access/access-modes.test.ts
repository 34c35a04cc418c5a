import assert from "node:assert/strict"
import { test } from "node:test"
import { defineKernel, defineModule } from "../../../src/index.js"
import { get, I32, wasmModule } from "../../host/wasm.js"
import { combine, once } from "../../support/kernels.js"
import { Latch } from "../../support/latch.js"
import { openHost, Seen } from "./seen.js"

const source = "export function change(launch, x) { x[1]++ }"
const change = defineKernel({ name: "change", signature: ["in int32*"], host: { source } })
/** The same text with another mode. */
const changeOpenly = defineKernel({ name: "change", signature: ["inout int32*"], host: { source } })

test("§13 a kernel given as text that writes an `in` array is reported with its elements; one that declares it is not", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  change.launch(once, x)
  changeOpenly.launch(once, x)
  change.launch(once, x.subarray(2))
  assert.deepEqual(await seen.on(device), ["change(0) written 4..8", "change(0) written 4..8"])
  assert.deepEqual([...x.readSync()], [0, 2, 0, 1])
})

test("§13 a kernel of a module is reported; its globals are exempt, except constant ones", async () => {
  using seen = new Seen()
  using device = openHost()
  const module = defineModule({
    host: {
      source: `
        export const count = (launch, x) => { launch.globals.total[0] += x[0] }
        export const spoil = (launch, x) => { launch.globals.table[1] = 7 }
        export const change = (launch, x) => { x[0]++ }`,
    },
    globals: { total: ["int32", 1], table: ["int32", 2, "constant"] },
  })
  const [count, spoil, changing] = (["count", "spoil", "change"] as const).map((name) =>
    module.kernel({ name, signature: ["in int32*"] }),
  )
  assert.ok(count !== undefined && spoil !== undefined && changing !== undefined)
  using x = device.zeros("int32", 1)
  count.launch(once, x)
  count.launch(once, module.global(device, "total"))
  assert.deepEqual(await seen.on(device), [])
  spoil.launch(once, x)
  changing.launch(once, x)
  assert.deepEqual(await seen.on(device), ["spoil() written 4..5", "change(0) written 0..4"])
  module.dispose()
})

test("§13 a WebAssembly kernel that writes an `in` array is reported", async () => {
  using seen = new Seen()
  using device = openHost()
  // x[1] = 7
  const wasm = wasmModule({ parameters: [I32], code: [...get(0), 0x41, 7, 0x36, 2, 4] })
  const store = defineKernel({ name: "store", signature: ["in int32*"], host: { wasm, export: "k" } })
  using x = device.zeros("int32", 4)
  store.launch(once, x)
  assert.deepEqual(await seen.on(device), ["store(0) written 4..8"])
})

test("§13 an array behind a pointer of a struct is reported with its path", async () => {
  using seen = new Seen()
  using device = openHost()
  const inside = defineKernel({
    name: "inside",
    signature: ["int32", { struct: { n: "int32", tables: ["in float32*", 2] } }],
    host: { source: "export function inside(launch, at, { tables }) { tables[1][at] = 1 }" },
  })
  using x = device.zeros("float32", 4)
  using y = device.zeros("float32", 4)
  inside.launch(once, 3, { n: 4, tables: [x, y] })
  assert.deepEqual(await seen.on(device), ["inside(1.tables[1]) written 12..16"])
  assert.deepEqual(await seen.on(device), [])
})

test("§13 bytes that the same launch may write are exempt: the same array, overlapping views, structs, `uses`", async () => {
  using seen = new Seen()
  using device = openHost()
  const both = defineKernel({
    name: "both",
    signature: ["in int32*", { struct: { y: "out int32*" } }],
    host: { source: "export function both(launch, x, { y }) { y.fill(5) }" },
  })
  using x = device.zeros("int32", 8)
  both.launch(once, x, { y: x })
  both.launch(once, x, { y: x.subarray(2, 6) })
  both.launch(once, x.subarray(0, 4), { y: x.subarray(3) })
  change.launch({ ...once, uses: { writes: [x] } }, x)
  change.launch({ ...once, uses: { writes: [x.subarray(1, 2)] } }, x)
  assert.deepEqual(await seen.on(device), [])
  change.launch({ ...once, uses: { writes: [x.subarray(2)] } }, x)
  assert.deepEqual(await seen.on(device), ["change(0) written 4..8"])
})

test("§13 arrays in `uses.reads` must stay as they are, too", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  using y = device.zeros("int32", 4)
  const reach = defineKernel({
    name: "reach",
    signature: ["int32", "in int32*"],
    host: { source: "export function reach(launch, to, x) { new Int32Array(x.buffer, to, 1)[0] = 9 }" },
  })
  reach.launch({ ...once, uses: { reads: [y] } }, y.address + 8, x)
  assert.deepEqual(await seen.on(device), ["reach() written 8..9"])
})

test("§13 nothing is reported if two streams read one array while others write the bytes beside it, copies and fills too", async () => {
  using seen = new Seen()
  using device = openHost()
  // It reads the middle, and is held inside the kernel while other streams write the rest.
  const holding = defineKernel({
    name: "holding",
    signature: ["in int32*", "inout int32*"],
    host: {
      source: `
        export function holding(launch, x, flags) {
          Atomics.add(flags, 1, 1)
          while (Atomics.load(flags, 0) === 0) Atomics.wait(flags, 0, 0, 1)
        }`,
    },
  })
  using x = device.zeros("int32", 64)
  using flags = device.pinned("int32", 2)
  const streams = [device.createStream(), device.createStream()]
  device.synchronize()
  const middle = x.subarray(16, 32)
  for (const stream of streams) holding.launch({ ...once, stream }, middle, flags)
  while (Atomics.load(flags.array, 1) < 2) await new Promise((resolve) => setImmediate(resolve))
  x.subarray(0, 16).fill(1)
  x.subarray(32, 48).copyFrom(x.subarray(0, 16))
  combine.launch(once, 16, x.subarray(0, 16), x.subarray(48))
  device.defaultStream.synchronize()
  Atomics.store(flags.array, 0, 1)
  Atomics.notify(flags.array, 0)
  assert.deepEqual(await seen.on(device), [])
  assert.deepEqual([...x.readSync()].slice(40, 50), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
})

test("a write of another stream to an array that a kernel is reading is a race; it is reported as the kernel's", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  const waiting = defineKernel({
    name: "waiting",
    signature: ["in int32*", "inout int32*"],
    host: {
      source: `
        export function waiting(launch, x, flags) {
          Atomics.store(flags, 1, 1)
          while (Atomics.load(x, 0) === 0) Atomics.wait(x, 0, 0, 1)
        }`,
    },
  })
  using flags = device.pinned("int32", 2)
  using stream = device.createStream()
  device.synchronize()
  waiting.launch({ ...once, stream }, x, flags)
  while (Atomics.load(flags.array, 1) === 0) await new Promise((resolve) => setImmediate(resolve))
  x.fill(3)
  const [line = ""] = await seen.on(device)
  assert.match(line, /^waiting\(0\) written 0\.\./)
})

test("§13 launches that were queued before the checks began are not checked, launches queued while they ran are", async () => {
  using device = openHost()
  using x = device.zeros("int32", 4)
  using latch = new Latch(device).hold()
  change.launch(once, x)
  using seen = new Seen()
  change.launch(once, x)
  seen.stop()
  change.launch(once, x)
  latch.open()
  assert.equal(x.readSync()[1], 3)
  while (seen.violations.length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(await seen.on(device), ["change(0) written 4..8"])
})

test("a launch whose arguments and `uses` fill a whole chunk of the queue runs unchecked, with a warning", async () => {
  const warnings: Error[] = []
  const listen = (warning: Error) => void warnings.push(warning)
  process.on("warning", listen)
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  const reads = Array.from({ length: 700 }, (_, index) => x.subarray(index % 4))
  change.launch({ ...once, uses: { reads } }, x)
  assert.deepEqual(await seen.on(device), [])
  change.launch({ ...once, uses: { reads: reads.slice(0, 600) } }, x)
  assert.equal((await seen.on(device)).length, 2, "the argument, and what `uses` names")
  process.off("warning", listen)
  assert.equal(x.readSync()[1], 2)
  assert.match(warnings.map(String).join("\n"), /A launch of kernel "change" was not checked/)
})

import assert from "node:assert/strict"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { pathToFileURL } from "node:url"
import { MessagePort } from "node:worker_threads"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { KernelArgument } from "../../src/driver/kernels.js"
import type { HostModuleBody } from "../../src/driver/module-body.js"
import type { KernelSource } from "../../src/driver/modules.js"
import { checkKernel } from "../../src/host/kernel/kernel-check.js"
import { AuxstreamError, KernelError } from "../../src/common/errors.js"
import { kernelOf, Latch, launch, open, parameters, source, thrownBy } from "./device.js"
import { F32, F64, I32, I64, get, wasmModule } from "./wasm.js"

const folder = mkdtempSync(join(tmpdir(), "auxstream-"))
after(() => rmSync(folder, { recursive: true }))

function kernel(signature: string[], host: HostModuleBody | undefined, exported = "k"): KernelSource {
  return kernelOf("k", host, parameters(...signature), exported)
}

function code(error: unknown): string {
  assert.ok(error instanceof AuxstreamError, String(error))
  return error.code
}

test("a kernel's source becomes a URL without dots: Bun treats the text behind the last one as a file extension", () => {
  const {
    module: { body },
  } = checkKernel(kernel([], { source: "export function k() { Math.max(1.5) }" }), 1)
  assert.ok("url" in body)
  assert.doesNotMatch(body.url, /\./)
})

test("a kernel defined again with the same source is the same kernel; one from a file is read again", () => {
  using driver = open()
  const text = "export function k(l, x) {}\nexport const other = k"
  const handle = driver.kernels.load(kernel(["inout int32*"], { source: text }))
  assert.equal(driver.kernels.load(kernel(["inout int32*"], { source: text })), handle)
  const others = [
    kernel(["int32"], { source: text }),
    kernel(["inout float32*"], { source: text }),
    kernel(["inout int32*"], { source: `${text} ` }),
    kernel(["inout int32*"], { source: text }, "other"),
    { ...kernel(["inout int32*"], { source: text }), name: "other" },
  ]
  const file = join(folder, "again.js")
  writeFileSync(file, text)
  for (let round = 0; round < 2; round++) others.push(kernel(["inout int32*"], { module: file }))
  const handles = others.map((other) => driver.kernels.load(other))
  assert.equal(new Set([handle, ...handles]).size, 1 + others.length)
})

test("a kernel that cannot run is refused before anything is queued", () => {
  using driver = open()
  const wasm = (shape: Partial<Parameters<typeof wasmModule>[0]>) => ({
    wasm: wasmModule({ parameters: [], code: [], ...shape }),
  })
  symlinkSync("loop", join(folder, "loop"))
  const cases: [body: HostModuleBody | undefined, code: string, message: RegExp, exported?: string][] = [
    [undefined, "AUX_KERNEL_UNAVAILABLE", /no code for the host device/],
    [{ module: "./kernel.js" }, "AUX_KERNEL_INVALID", /new URL\(\.\.\., import\.meta\.url\)/],
    [{ module: "some-package" }, "AUX_KERNEL_INVALID", /"some-package"/],
    [{ module: new URL("https://example.com/k.js") }, "AUX_KERNEL_INVALID", /example\.com/],
    [{ module: join(folder, "missing.js") }, "AUX_KERNEL_INVALID", /missing\.js/],
    [{ module: pathToFileURL(folder) }, "AUX_KERNEL_INVALID", /no file/],
    [{ module: join(folder, "k\0.js") }, "AUX_KERNEL_INVALID", /cannot be read.*null bytes/],
    [{ module: join(folder, "k".repeat(300)) }, "AUX_KERNEL_INVALID", /cannot be read.*ENAMETOOLONG/],
    [{ module: join(folder, "loop") }, "AUX_KERNEL_INVALID", /cannot be read.*ELOOP/],
    [{ module: join(folder, "kernel.js", "k.js") }, "AUX_KERNEL_INVALID", /no file/],
    [{ wasm: pathToFileURL(join(folder, "loop")) }, "AUX_KERNEL_INVALID", /cannot be read.*ELOOP/],
    [wasm({ memory: "own" }), "AUX_KERNEL_INVALID", /does not import the device's memory/],
    [wasm({ memory: "none" }), "AUX_KERNEL_INVALID", /does not import the device's memory/],
    [{ wasm: Uint8Array.of(1, 2, 3) }, "AUX_KERNEL_INVALID", /does not compile/],
    [{ wasm: pathToFileURL(join(folder, "missing.wasm")) }, "AUX_KERNEL_INVALID", /missing\.wasm/],
    [wasm({}), "AUX_KERNEL_INVALID", /exports no function "other", only: "k"/, "other"],
    [wasm({ memoryName: "heap" }), "AUX_KERNEL_INVALID", /"env" "heap"/],
    [wasm({ limits: [0, 0] }), "AUX_KERNEL_INVALID", /private memory/],
    [wasm({ limits: [3, 0, 16] }), "AUX_KERNEL_INVALID", /0 to 16 pages/],
    [wasm({ data: [{ offset: 250, bytes: [1, 2, 3, 4, 5, 6, 7] }] }), "AUX_KERNEL_INVALID", /bytes 0 to 257/],
    [wasm({ passiveData: [1, 2, 3] }), "AUX_KERNEL_INVALID", /constants/],
  ]
  for (const [host, expected, message, exported] of cases) {
    const error = thrownBy(() => driver.kernels.load(kernel([], host, exported)))
    assert.equal(code(error), expected)
    assert.match(String(error), message)
  }
  assert.equal(
    code(thrownBy(() => driver.kernels.load(kernel(Array<string>(3000).fill("int32"), { source: "" })))),
    "AUX_KERNEL_INVALID",
  )
  driver.kernels.load(kernel([], wasm({ data: [{ offset: 8, bytes: [1, 2, 3] }], passiveData: [] })))
})

test("the same source object is loaded once", () => {
  using driver = open()
  const one = kernel([], { module: new URL("data:text/javascript,export function k() {}") })
  assert.equal(driver.kernels.load(one), driver.kernels.load(one))
})

test("scalars arrive with the values of their type", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const cases: [dtype: string, given: KernelArgument, arrives: string][] = [
    ["int8", 200, "-56"],
    ["uint8", -1, "255"],
    ["int16", 40_000, "-25536"],
    ["uint16", -1, "65535"],
    ["int32", 3_000_000_000, "-1294967296"],
    ["uint32", 3_000_000_000, "3000000000"],
    ["uint32", -1, "4294967295"],
    ["float32", 0.1, String(Math.fround(0.1))],
    ["float64", 0.1, "0.1"],
    ["float16", 0.1, "0.0999755859375"],
    ["float16", 1e6, "Infinity"],
    ["float16", 2 ** -25 * 1.1, String(2 ** -24)],
    ["float16", -65519, "-65504"],
    ["bfloat16", 0.1, "0.10009765625"],
    ["bfloat16", -3, "-3"],
    ["int64", -5n, "-5n"],
    ["int64", 7, "7n"],
    ["uint64", 2n ** 64n - 1n, "18446744073709551615n"],
  ]
  for (const [dtype, given, arrives] of cases) {
    const text = `const v = args[0]; const s = typeof v === "bigint" ? v + "n" : String(v)
      if (s !== ${JSON.stringify(arrives)}) throw new Error("${dtype}: got " + s)`
    launch(driver, stream, driver.kernels.load(source("k", [dtype], text)), given)
    driver.streams.synchronize(stream)
  }
})

test("a kernel gets typed arrays over the device memory, and the shape of the launch", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(64)
  const views: [dtype: string, type: string][] = [
    ["float16", "Uint16Array"],
    ["bfloat16", "Uint16Array"],
    ["float32", "Float32Array"],
    ["float64", "Float64Array"],
    ["int8", "Int8Array"],
    ["uint8", "Uint8Array"],
    ["int16", "Int16Array"],
    ["uint16", "Uint16Array"],
    ["int32", "Int32Array"],
    ["uint32", "Uint32Array"],
    ["int64", "BigInt64Array"],
    ["uint64", "BigUint64Array"],
  ]
  for (const [dtype, type] of views) {
    const text = `if (args[0].constructor !== ${type} || args[0].length !== 3) throw new Error("${dtype}")
      const shape = JSON.stringify(launch)
      if (shape !== '{"grid":[2,3,4],"block":[5,6,7],"sharedMemory":8,"globals":{}}') throw new Error(shape)`
    const handle = driver.kernels.load(source("k", [`inout ${dtype}*`], text))
    const shape = { gridX: 2, gridY: 3, gridZ: 4, blockX: 5, blockY: 6, blockZ: 7, sharedMemory: 8 }
    driver.kernels.launch(stream, handle, shape, [{ address: memory.address, length: 3 }], undefined)
    driver.streams.synchronize(stream)
  }
  const empty = driver.kernels.load(
    source("k", ["in float32*"], "if (args[0].length !== 0) throw new Error('not empty')"),
  )
  launch(driver, stream, empty, { address: 0, length: 0 })
  driver.streams.synchronize(stream)
})

test("a WebAssembly kernel works on the device memory in place", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(256)
  const words = new Float32Array(memory.buffer, memory.byteOffset, 64)
  const range = { address: memory.address, length: 64 }
  // mem[p] = a; mem[p + 4] = (f32) b; mem64[p + 8] = c; mem32[p + 16] = grid x + 100 block z
  const bytes = wasmModule({
    parameters: [I32, F32, F64, I64, I32, I32, I32, I32, I32, I32],
    code: [
      [...get(0), ...get(1), 0x38, 2, 0],
      [...get(0), ...get(2), 0xb6, 0x38, 2, 4],
      [...get(0), ...get(3), 0x37, 3, 8],
      [...get(0), ...get(4), ...get(9), 0x41, 0xe4, 0, 0x6c, 0x6a, 0x36, 2, 16],
    ].flat(),
  })
  const signature = ["inout float32*", "float32", "float64", "int64"]
  const file = join(folder, "kernel.wasm")
  writeFileSync(file, bytes)
  for (const wasm of [bytes, pathToFileURL(file)]) {
    words.fill(0)
    const handle = driver.kernels.load(kernel(signature, { wasm }))
    driver.kernels.launch(stream, handle, LaunchShape.of({ gridX: 3, blockZ: 5 }), [range, 1.5, 2.5, -9n], undefined)
    driver.streams.synchronize(stream)
    assert.deepEqual(Array.from(words.subarray(0, 2)), [1.5, 2.5])
    assert.equal(new BigInt64Array(memory.buffer, memory.byteOffset + 8, 1)[0], -9n)
    assert.equal(new Int32Array(memory.buffer, memory.byteOffset + 16, 1)[0], 503)
  }
  const trap = driver.kernels.load(kernel([], { wasm: wasmModule({ parameters: [], code: [0x00] }) }))
  launch(driver, stream, trap)
  const error = thrownBy(() => driver.streams.synchronize(stream))
  assert.ok(error instanceof KernelError)
  assert.match(error.message, /unreachable/)
})

test("a WebAssembly kernel that declares more parameters than a launch passes breaks its stream", async () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const wasm = (count: number) => ({ wasm: wasmModule({ parameters: Array<number>(count).fill(I32), code: [] }) })
  launch(driver, stream, driver.kernels.load(kernel(["int32"], wasm(7))), 1)
  driver.streams.synchronize(stream)
  const error = await driver.kernels.prepare(kernel(["int32"], wasm(8))).catch((reason: unknown) => reason)
  assert.equal(code(error), "AUX_KERNEL_INVALID")
  assert.match(String(error), /declares 8 parameters, but a launch .* passes 7/)
  launch(driver, stream, driver.kernels.load(kernel(["int32"], wasm(8))), 1)
  assert.match(String(thrownBy(() => driver.streams.synchronize(stream))), /declares 8 parameters/)
})

test("a module file is loaded from a path, a URL or a URL's text, with its own imports", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(4)
  const words = new Int32Array(memory.buffer, memory.byteOffset, 1)
  writeFileSync(join(folder, "seven.mjs"), "export const seven = 7")
  const file = join(folder, "kernel #1.mjs")
  writeFileSync(file, 'import { seven } from "./seven.mjs"\nexport const add = (launch, out) => { out[0] += seven }')
  const url = pathToFileURL(file)
  for (const module of [file, url, url.href]) {
    launch(driver, stream, driver.kernels.load(kernel(["inout int32*"], { module }, "add")), {
      address: memory.address,
      length: 1,
    })
  }
  driver.streams.synchronize(stream)
  assert.equal(words[0], 21)
})

test("the first launch loads its kernel without the opening thread's event loop", () => {
  using driver = open()
  const streams = Array.from({ length: 8 }, () => driver.streams.create(0))
  const memory = driver.memory.allocatePinned(256)
  const words = new Int32Array(memory.buffer, memory.byteOffset, 64)
  const slow = "await new Promise((resolve) => setTimeout(resolve, 20)); export const k = (launch, out) => { out[0]++ }"
  for (const [index, stream] of streams.entries()) {
    const handle = driver.kernels.load(kernel(["inout int32*"], { source: slow }))
    launch(driver, stream, handle, { address: memory.address + 4 * index, length: 1 })
  }
  for (const stream of streams) driver.streams.synchronize(stream)
  assert.deepEqual(Array.from(words.subarray(0, 8)), Array<number>(8).fill(1))
})

test("prepare loads a kernel on every worker, and rejects with the mistake in it", async () => {
  using driver = open(3)
  const good = kernel([], { source: "export function k() {}" })
  const [first, second] = await Promise.all([driver.kernels.prepare(good), driver.kernels.prepare(good)])
  assert.equal(first, second)
  assert.equal(driver.kernels.load(good), first)
  assert.equal(await driver.kernels.prepare(good), first)
  for (const [text, message] of [
    ["export const other = 1", /exports no function "k", only: other/],
    ["function k() {}", /exports no function "k", but nothing at all: write `export` before the function/],
    ["export function k( {", /SyntaxError/],
    ["throw new Error('at load')", /at load/],
  ] as const) {
    const error = await driver.kernels.prepare(kernel([], { source: text })).catch((reason: unknown) => reason)
    assert.equal(code(error), "AUX_KERNEL_INVALID")
    assert.match(String(error), message)
  }
  const wasm = kernel([], { wasm: wasmModule({ parameters: [], code: [] }) })
  assert.equal(await driver.kernels.prepare(wasm), driver.kernels.load(wasm))
  const bad = await driver.kernels.prepare(kernel([], { wasm: Uint8Array.of(1) })).catch((reason: unknown) => reason)
  assert.match(String(bad), /does not compile/)
  const error = await driver.kernels.prepare(kernel([], { module: "x" })).catch((reason: unknown) => reason)
  assert.equal(code(error), "AUX_KERNEL_INVALID")
})

const unfinished: readonly [what: string, text: string, message: RegExp][] = [
  ["a generator function", "export function* k(launch, out) { out[0] = 1 }", /generator function.*must be done/],
  ["an async generator function", "export async function* k(launch, out) { out[0] = 1 }", /generator function/],
  ["an async function", "export async function k(launch, out) { out[0] = 1 }", /async function/],
  [
    "a module that awaits what never comes",
    "await new Promise(() => {}); export function k() {}",
    /never finishes loading/,
  ],
  [
    "a module that exports `then`",
    "export function then() {} export function k(launch, out) { out[0] = 1 }",
    /exports `then`/,
  ],
  [
    "a module whose `then` settles at once",
    "export function then(resolve) { resolve(5) } export function k(launch, out) { out[0] = 1 }",
    /exports `then`/,
  ],
]

for (const [what, text, message] of unfinished) {
  test(`a kernel that cannot be loaded does not lose the device: ${what}`, async () => {
    using driver = open(1)
    const memory = driver.memory.allocatePinned(4)
    const range = { address: memory.address, length: 1 }
    const [stream, other] = [driver.streams.create(0), driver.streams.create(0)]
    const bad = kernel(["inout int32*"], { source: text })
    const error = await driver.kernels.prepare(bad).catch((reason: unknown) => reason)
    assert.equal(code(error), "AUX_KERNEL_INVALID")
    assert.match(String(error), message)
    launch(driver, stream, driver.kernels.load(bad), range)
    const failure = thrownBy(() => driver.streams.synchronize(stream))
    assert.ok(failure instanceof KernelError)
    assert.match(failure.message, message)
    assert.equal(new Int32Array(memory.buffer, memory.byteOffset, 1)[0], 0)
    launch(driver, other, driver.kernels.load(source("add", ["inout int32*"], "args[0][0] += 7")), range)
    driver.streams.synchronize(other)
    assert.equal(new Int32Array(memory.buffer, memory.byteOffset, 1)[0], 7)
  })
}

test("a kernel cannot be exported as `then`, which import() would call", () => {
  using driver = open()
  const body = { source: "export function then() {}" }
  const error = thrownBy(() => driver.kernels.load(kernel([], body, "then")))
  assert.equal(code(error), "AUX_KERNEL_INVALID")
  assert.match(String(error), /"then"/)
})

test("a worker knows the kernels defined before it started, even if the opening thread posts late", (context) => {
  const post = MessagePort.prototype.postMessage
  context.mock.method(
    MessagePort.prototype,
    "postMessage",
    function (this: MessagePort, ...message: Parameters<typeof post>) {
      // The worker has started, and runs the launch, before this returns.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
      post.apply(this, message)
    },
  )
  using driver = open(2)
  const stream = driver.streams.create(0)
  launch(driver, stream, driver.kernels.load(source("first", [], "")))
  driver.streams.synchronize(stream)
})

test("prepare does not wait for workers started after the call", { timeout: 120_000 }, async () => {
  using driver = open(8)
  const nothing = driver.kernels.load(source("nothing", [], ""))
  const preparing = driver.kernels.prepare(source("prepared", [], ""))
  await new Promise((resolve) => setImmediate(resolve))
  for (let count = 0; count < 8; count++) launch(driver, driver.streams.create(0), nothing)
  await preparing
})

test("prepare does not wait for workers that are running a kernel", async () => {
  using driver = open(2)
  const latch = new Latch(driver)
  try {
    latch.hold(driver.streams.create(0))
    await driver.kernels.prepare(kernel([], { source: "export function k() {}" }))
  } finally {
    latch.open()
  }
})

test("closing the device rejects pending prepares", async () => {
  const driver = open(2)
  const preparing = driver.kernels.prepare(
    kernel([], { source: "await new Promise(() => {}); export function k() {}" }),
  )
  driver.close()
  assert.equal(code(await preparing.catch((reason: unknown) => reason)), "AUX_DISPOSED")
})

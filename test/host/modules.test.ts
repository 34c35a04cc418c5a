import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import type { HostModuleBody } from "../../src/driver/module-body.js"
import type { GlobalDeclaration, KernelSource, ModuleSource } from "../../src/driver/modules.js"
import { rejected, refused } from "../support/errors.js"
import { completed, launch, open, parameters, thrownBy } from "./device.js"
import { get, I32, wasmModule } from "./wasm.js"

const folder = mkdtempSync(join(tmpdir(), "auxstream-modules-"))
after(() => rmSync(folder, { recursive: true }))

const table: GlobalDeclaration = { name: "table", dtype: "int32", length: 2, isConstant: false }

function moduleOf(host: HostModuleBody, globals: readonly GlobalDeclaration[] = []): ModuleSource {
  return { name: "tests", label: 'Module "tests"', cuda: undefined, host, globals, expressions: [] }
}

function kernelIn(module: ModuleSource, name: string): KernelSource {
  return { name, parameters: parameters("inout int32*"), module, symbol: name, export: name }
}

test("§11 a JavaScript module with several exports is loaded once by each worker", async () => {
  using driver = open(1)
  const file = join(folder, "counted.js")
  const text = `
    let state = 0
    export function first(launch, out) { out[0] = ++state }
    export function second(launch, out) { out[0] = ++state }`
  writeFileSync(file, text)
  const memory = driver.memory.allocatePinned(4)
  const words = new Int32Array(memory.buffer, memory.byteOffset, 1)
  const stream = driver.streams.create(0)
  const module = moduleOf({ module: file })
  for (const [index, name] of ["first", "second", "first"].entries()) {
    launch(driver, stream, driver.kernels.load(kernelIn(module, name)), { address: memory.address, length: 1 })
    await completed(driver, stream)
    assert.equal(words[0], index + 1)
  }
})

test("§11 exports of a WebAssembly module share an instance, and its globals are set to the offsets of the arrays", async () => {
  using driver = open(1)
  const memory = driver.memory.allocatePinned(4)
  const words = new Int32Array(memory.buffer, memory.byteOffset, 1)
  // out[0] = table[0]
  const code = [...get(0), 0x23, 0, 0x28, 2, 0, 0x36, 2, 0]
  const module = moduleOf(
    { wasm: wasmModule({ parameters: [I32], code, names: ["k", "again"], globals: ["table"] }) },
    [table],
  )
  const [global] = driver.kernels.loadGlobals(module)
  assert.ok(global !== undefined)
  const stream = driver.streams.create(0)
  for (const [name, value] of [
    ["k", 5],
    ["again", 7],
  ] as const) {
    driver.memory.fill(global.address, new Uint8Array(Int32Array.of(value).buffer), 2, stream)
    launch(driver, stream, driver.kernels.load(kernelIn(module, name)), { address: memory.address, length: 1 })
    await completed(driver, stream)
    assert.equal(words[0], value)
  }
})

test("§8 a module that lacks an export or a global is refused with what it exports", async () => {
  using driver = open(1)
  const wasm = (globals: string[]) => ({
    wasm: wasmModule({ parameters: [], code: [], names: ["k", "again"], globals }),
  })
  const load = (host: HostModuleBody, name: string, globals: readonly GlobalDeclaration[] = []) =>
    driver.kernels.load(kernelIn(moduleOf(host, globals), name))
  refused(
    () => load(wasm(["table"]), "none"),
    "AUX_KERNEL_INVALID",
    /exports no function "none", only: "k", "again", "table"/,
  )
  refused(() => load(wasm([]), "k", [table]), "AUX_KERNEL_INVALID", /exports no global "table", only: "k", "again"/)
  const constant = kernelIn(moduleOf(wasm(["table!"]), [table]), "k")
  await rejected(
    () => driver.kernels.prepare(constant),
    "AUX_KERNEL_INVALID",
    /"table" must be a mutable global of type i32/,
  )
  const missing = kernelIn(moduleOf({ source: "export function a() {}\nexport const b = a" }), "c")
  await rejected(() => driver.kernels.prepare(missing), "AUX_KERNEL_INVALID", /exports no function "c", only: a, b/)
})

test("§11 globals are zeroed memory of their own for each module, which is given back", () => {
  using driver = open(1)
  const module = () =>
    moduleOf({ source: "export function k() {}" }, [table, { ...table, name: "other", length: 1000 }])
  const [one, two] = [driver.kernels.loadGlobals(module()), driver.kernels.loadGlobals(module())]
  assert.equal(new Set([...one, ...two].map(({ address }) => address)).size, 4)
  driver.kernels.freeGlobals?.(one)
  assert.deepEqual(
    driver.kernels.loadGlobals(module()).map(({ address }) => address),
    one.map(({ address }) => address),
  )
  const huge = moduleOf({ source: "" }, [table, { ...table, length: 2 ** 32 }])
  const { used } = driver.memory.usage()
  assert.match(String(thrownBy(() => driver.kernels.loadGlobals(huge))), /OutOfMemoryError/)
  assert.equal(driver.memory.usage().used, used)
})

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { cudaBackend } from "../../src/cuda/backend.js"
import { AuxstreamError } from "../../src/common/errors.js"
import { openDevice } from "../../src/index.js"
import { onDouble, open, thrownBy, untilGone } from "./device.js"
import { double, doublePath } from "./double.js"

const build = join(dirname(fileURLToPath(import.meta.url)), "..", "..")
const noSuchLibrary = "/no/such/libcuda.so"

/** Runs a module that imports the backend. @returns its output */
function run(code: string, environment: Record<string, string> = {}, source = build): string {
  const module = `import { cudaBackend } from "file://${source}/src/cuda/backend.js"\n${code}`
  const { AUXSTREAM_LIBCUDA: _, ...inherited } = process.env
  const result = spawnSync(process.execPath, ["--input-type=module", "--eval", module], {
    encoding: "utf8",
    env: { ...inherited, ...environment },
  })
  assert.equal(result.status, 0, result.stderr)
  return result.stdout.trim()
}

const listed = "const [only] = cudaBackend.list(); console.log(only.id, only.usable, only.reason)"

test("importing the backend loads neither koffi nor a CUDA library", () => {
  const code = `
    import { createRequire } from "node:module"
    import { readFileSync } from "node:fs"
    const maps = process.platform === "linux" ? readFileSync("/proc/self/maps", "utf8") : ""
    console.log(/koffi|libcuda/.test(maps + Object.keys(createRequire("file:///x.js").cache).join()))`
  assert.equal(run(code, doublePath === undefined ? {} : { AUXSTREAM_LIBCUDA: doublePath }), "false")
})

test("a missing library in AUXSTREAM_LIBCUDA is named by its path", () => {
  const text = run(listed, { AUXSTREAM_LIBCUDA: noSuchLibrary })
  assert.match(text, /^cuda false AUXSTREAM_LIBCUDA is \/no\/such\/libcuda\.so, which cannot be loaded: .+\.$/)
})

test("without a driver, the error names what was tried and what to do", () => {
  const text = run(listed)
  // A machine with a driver has no such error.
  if (text.startsWith("cuda:0 true")) return
  assert.match(text, /^cuda false .+/)
  if (text.includes("not found")) assert.match(text, /tried libcuda\.so\.1, .+ Install the NVIDIA driver, or set/)
})

/** Makes a copy of the build with another koffi: one that cannot be loaded, unless its text is given. */
function withOtherKoffi(use: (source: string) => void, text?: string): void {
  const alone = mkdtempSync(join(tmpdir(), "auxstream-alone-"))
  try {
    cpSync(join(build, "src"), join(alone, "src"), { recursive: true })
    writeFileSync(join(alone, "package.json"), '{ "type": "module" }')
    mkdirSync(join(alone, "node_modules", "koffi"), { recursive: true })
    writeFileSync(join(alone, "node_modules", "koffi", "package.json"), '{ "main": "koffi.cjs" }')
    if (text !== undefined) writeFileSync(join(alone, "node_modules", "koffi", "koffi.cjs"), text)
    use(alone)
  } finally {
    rmSync(alone, { recursive: true })
  }
}

test("without koffi the sentence says how to install it", () => {
  withOtherKoffi((source) => {
    assert.match(run(listed, {}, source), /^cuda false The package koffi, .+ `npm install koffi`/)
  })
})

test("on macOS the missing driver is the reason, with and without koffi", () => {
  const onMac = `Object.defineProperty(process, "platform", { value: "darwin" }); ${listed}`
  const sentence = "cuda false CUDA runs on Linux and Windows, not on darwin."
  assert.equal(run(onMac), sentence)
  withOtherKoffi((source) => assert.equal(run(onMac, {}, source), sentence))
})

test("on Windows the driver comes from the system's folder, and stays loaded when the thread that loaded it ends", () => {
  const onWindows = `Object.defineProperty(process, "platform", { value: "win32" }); ${listed}`
  const koffi = `module.exports = {
    config: () => ({ sync_stack_size: 8388608 }),
    address: () => 4096n,
    decode: { string: () => "" },
    load: (path) => {
      console.log("load", path)
      return { func: (name) => (...args) => { if (name.startsWith("Get")) console.log(name, ...args); return 0 } }
    },
  }`
  withOtherKoffi((source) => {
    const lines = run(onWindows, { SystemRoot: "D:\\Win" }, source).split("\n")
    assert.deepEqual(lines.slice(0, 3), [
      "load D:\\Win\\System32\\nvcuda.dll",
      "load kernel32.dll",
      "GetModuleHandleExW 1 D:\\Win\\System32\\nvcuda.dll 4096",
    ])
  }, koffi)
})

/** The driver library is opened once for each path, so another path to the double opens it again. */
let paths = 0
function again(): void {
  const dots = "./".repeat(++paths)
  process.env["AUXSTREAM_LIBCUDA"] = join(dirname(doublePath ?? "")) + `/${dots}libcuda-double.so`
}

function onlyReason(): string {
  const [only, ...others] = cudaBackend.list()
  assert.equal(others.length, 0)
  assert.ok(only !== undefined && !only.usable)
  return only.reason ?? ""
}

onDouble("listing and opening", () => {
  test("every device has a listing with its name", () => {
    again()
    double.setDevices(2)
    assert.deepEqual(cudaBackend.list(), [
      { id: "cuda:0", kind: "cuda", name: "CUDA double 0", usable: true },
      { id: "cuda:1", kind: "cuda", name: "CUDA double 1", usable: true },
    ])
    double.setDevices(1)
  })

  test("an ordinal without a device is refused, naming the devices that exist", () => {
    again()
    const error = thrownBy(() => open(3))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_DEVICE_UNAVAILABLE")
    assert.equal(error.message, "There is no device cuda:3: this machine has only cuda:0.")
  })

  test("no device", () => {
    again()
    double.setDevices(0)
    assert.match(onlyReason(), /no device \(CUDA_ERROR_NO_DEVICE\).+nvidia-smi.+CUDA_VISIBLE_DEVICES/)
    double.setDevices(1)
  })

  test("the error of a driver that is too old names both versions", () => {
    again()
    double.setVersion(11080)
    assert.equal(onlyReason(), "The CUDA driver must support CUDA 12.0 or later; got 11.8. Update the NVIDIA driver.")
    double.setVersion(13000)
  })

  test("the error of a driver that does not start has the driver's own name for it", () => {
    again()
    double.fail("cuInit", 1, 999)
    assert.match(onlyReason(), /cuInit returned CUDA_ERROR_UNKNOWN \(unknown error\).+nvidia-smi/)
  })

  test("a device without memory pools is listed with the reason, and refused with it", () => {
    again()
    double.setAttribute(115, 0)
    const [listing] = cudaBackend.list()
    assert.equal(listing?.usable, false)
    assert.match(listing.reason ?? "", /does not support memory pools/)
    const error = thrownBy(() => open())
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_DEVICE_UNAVAILABLE")
    assert.equal(error.message, listing.reason)
    double.setAttribute(115, 1)
  })

  test("a device in prohibited mode is listed with the reason", () => {
    again()
    double.setAttribute(20, 2)
    const [listing] = cudaBackend.list()
    assert.equal(listing?.usable, false)
    assert.match(listing.reason ?? "", /prohibited compute mode.+nvidia-smi/)
    double.setAttribute(20, 0)
  })

  const taken = 46 // CUDA_ERROR_DEVICE_UNAVAILABLE: what a device gives that another process has for itself

  test("a device that another process has for itself is refused by name, with what to do", () => {
    double.fail("cuDevicePrimaryCtxRetain", 1, taken)
    const error = thrownBy(() => open())
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_DEVICE_UNAVAILABLE")
    assert.match(error.message, /CUDA_ERROR_DEVICE_UNAVAILABLE.+ exclusive mode.+nvidia-smi/)
  })

  test("auto tries the next device if the first is in use, keeps it, and falls back to the host device", async () => {
    again()
    double.setDevices(2)
    double.fail("cuDevicePrimaryCtxRetain", 1, taken)
    const device = openDevice()
    assert.equal(device.id, "cuda:1")
    using same = openDevice("auto")
    assert.equal(same, device, "although cuda:0 would open now")
    using first = openDevice("cuda:0")
    assert.equal(first.id, "cuda:0")
    device.dispose()
    double.setDevices(1)
    first.dispose()
    same.dispose()
    await untilGone()
    double.fail("cuDevicePrimaryCtxRetain", 1, taken)
    using last = openDevice("auto")
    assert.equal(last.id, "host")
  })

  test("a device that does not open leaves nothing behind, whichever call fails", () => {
    let opened: ReturnType<typeof open> | undefined
    const calls = double.log(() => {
      opened = open()
    })
    opened?.close()
    // Leaving the thread's current context as it was cannot fail, and nothing could be done about it. A device opens
    // without its kernels for fills and conditionals, too.
    const harmless = /^cu(CtxPopCurrent|CtxGetLimit|Library|Kernel|FuncLoad|ModuleGetLoadingMode)/
    const names = new Set(calls.map(([name]) => String(name)).filter((name) => !harmless.test(name)))
    assert.ok(names.has("cuMemPoolCreate"))
    for (const name of names) {
      double.fail(name, 1, 999)
      const error = thrownBy(() => open())
      assert.equal(double.failuresLeft(), 0)
      assert.ok(error instanceof AuxstreamError && error.code === "AUX_DEVICE_UNAVAILABLE", `${name}: ${String(error)}`)
      assert.match(error.message, /CUDA_ERROR_UNKNOWN/)
    }
  })
})

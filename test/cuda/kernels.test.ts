import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeEach, test } from "node:test"
import type { CudaModuleBody } from "../../src/driver/module-body.js"
import type { KernelSource } from "../../src/driver/modules.js"
import { AuxstreamError } from "../../src/common/errors.js"
import {
  kernel,
  Latch,
  launch,
  noop,
  onDouble,
  open,
  saxpy,
  sourceOf,
  thrownBy,
  until,
  withCode,
  withoutCode,
} from "./device.js"
import { captureGraph, defineKernel, openDevice } from "../../src/index.js"
import { parseSignature } from "../../src/runtime/kernel/signature.js"
import { collect, collectUntil } from "../support/collect.js"
import { cubinOf } from "../support/images.js"
import { double } from "./double.js"

const signature = ["int32", "float32", "in float32*", "inout float32*"]

/** A new object each time, because the same object is loaded only once. */
function saxpyFrom(cuda: CudaModuleBody): KernelSource {
  return withCode(saxpy, cuda)
}

function invalid(fn: () => unknown, ...words: RegExp[]): AuxstreamError {
  const error = thrownBy(fn)
  assert.ok(error instanceof AuxstreamError && error.code === "AUX_KERNEL_INVALID", String(error))
  for (const word of words) assert.match(error.message, word)
  return error
}

let cache = ""

/** A cache folder for this test alone. */
function freshCache(): void {
  if (cache !== "") rmSync(cache, { recursive: true, force: true })
  cache = mkdtempSync(join(tmpdir(), "auxstream-kernels-"))
  process.env["AUXSTREAM_CACHE_DIR"] = cache
}

const compilations = (): number => double.count("nvrtcCompileProgram")

/** The number of compilations that `fn` makes. */
function compiledIn(fn: () => void): number {
  const before = compilations()
  fn()
  return compilations() - before
}

const ptx = `.version 8.0\n.target sm_90\n.address_size 64
.visible .entry test_saxpy(\n.param .u32 n,\n.param .f32 a,\n.param .u64 x,\n.param .u64 y\n)\n{ ret; }\n`

onDouble("compiling", () => {
  beforeEach(freshCache)

  test("CUDA C++ is compiled for the device, and the same source object once", () => {
    using driver = open()
    const before = compilations()
    const handle = driver.kernels.load(saxpy)
    assert.equal(driver.kernels.load(saxpy), handle)
    assert.equal(compilations() - before, 1)
  })

  test("the compiler's log and options are in the error, and nothing is left", () => {
    using driver = open()
    const broken = saxpyFrom({ source: '#error "no such thing"', options: ["--use_fast_math"] })
    invalid(
      () => driver.kernels.load(broken),
      /^Kernel "test_saxpy" does not compile \(NVRTC_ERROR_COMPILATION, NVRTC 13\.0, --gpu-architecture=sm_90 --use_fast_math/,
      /kernel\.cu\(1\): error: #error "no such thing"\n1 error detected$/,
    )
  })

  test("a kernel without extern C is not found, and the message says what to write", () => {
    using driver = open()
    const mangled = saxpyFrom({ source: sourceOf("_Z5saxpyifPKfPf", signature) })
    invalid(() => driver.kernels.load(mangled), /"test_saxpy" has no symbol of that name/, /extern "C"/)
  })

  test("a compiler that is older than the device makes PTX of the newest kind that it knows", () => {
    using driver = open()
    double.setNewestArchitecture(89)
    try {
      // The architectures are read when the compiler is loaded, and another path loads it again.
      process.env["AUXSTREAM_LIBNVRTC"] = (process.env["AUXSTREAM_LIBNVRTC"] ?? "").replace("/lib", "/./lib")
      const calls = double.log(() => driver.kernels.load(saxpyFrom({ source: sourceOf("test_saxpy", signature) })))
      assert.ok(calls.some(([name]) => name === "nvrtcGetPTX"))
      const broken = saxpyFrom({ source: "#error" })
      invalid(() => driver.kernels.load(broken), /--gpu-architecture=compute_89/)
    } finally {
      double.setNewestArchitecture(100)
      process.env["AUXSTREAM_LIBNVRTC"] = (process.env["AUXSTREAM_LIBNVRTC"] ?? "").replace("/./lib", "/lib")
    }
  })

  test("a device that is too old for the compiler: the message says what would do", () => {
    double.setAttribute(75, 7)
    try {
      using driver = open()
      const kernel = saxpyFrom({ source: sourceOf("test_saxpy", signature) })
      const error = thrownBy(() => driver.kernels.load(kernel))
      assert.ok(error instanceof AuxstreamError)
      assert.equal(error.code, "AUX_KERNEL_UNAVAILABLE")
      assert.match(error.message, /"test_saxpy".*NVRTC 13\.0.*7\.5.*7\.0.*AUXSTREAM_LIBNVRTC/s)
    } finally {
      double.setAttribute(75, 9)
    }
  })

  test("an architecture in the options is kept", () => {
    using driver = open()
    const broken = saxpyFrom({ source: "#error", options: ["--gpu-architecture=sm_90a"] })
    const { message } = invalid(() => driver.kernels.load(broken), /--gpu-architecture=sm_90a/)
    assert.doesNotMatch(message, /--gpu-architecture=sm_90 /)
  })

  test("options in two strings reach the compiler as they are, and an architecture among them is kept", () => {
    using driver = open()
    const options = ["-D", "A=1", "-D", "B=2", "--gpu-architecture", "sm_90a"]
    const { message } = invalid(() => driver.kernels.load(saxpyFrom({ source: "#error", options })))
    assert.match(message, /NVRTC 13\.0, -D A=1 -D B=2 --gpu-architecture sm_90a[ )]/)
    assert.doesNotMatch(message, /--gpu-architecture=/)
    const calls = double.log(() =>
      driver.kernels.load(saxpyFrom({ source: sourceOf("test_saxpy", signature), options: ["-arch", "sm_90a"] })),
    )
    assert.ok(calls.some(([name]) => name === "nvrtcGetCUBIN"))
  })

  test("without a compiler the message names it and what to do", () => {
    using driver = open()
    const path = process.env["AUXSTREAM_LIBNVRTC"]
    process.env["AUXSTREAM_LIBNVRTC"] = "/no/such/libnvrtc.so"
    try {
      const error = thrownBy(() => driver.kernels.load(withCode(saxpy)))
      assert.ok(error instanceof AuxstreamError && error.code === "AUX_KERNEL_UNAVAILABLE")
      assert.match(error.message, /NVRTC.+\/no\/such\/libnvrtc\.so.+AUXSTREAM_LIBNVRTC.+PTX or cubin/s)
    } finally {
      process.env["AUXSTREAM_LIBNVRTC"] = path
    }
  })

  test("a kernel without a body for CUDA is unavailable", () => {
    using driver = open()
    const error = thrownBy(() => driver.kernels.load(withoutCode(saxpy)))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_KERNEL_UNAVAILABLE")
  })
})

onDouble("preparing", () => {
  beforeEach(freshCache)

  /** Prepares with a compiler that stands still until the event loop has turned a few times. */
  async function prepareBesideTheLoop(prepare: () => Promise<unknown>): Promise<void> {
    double.holdCompiler(true)
    try {
      const prepared = prepare()
      await until(() => double.compilationsHeld() > 0)
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      assert.ok(double.compilationsHeld() > 0)
      double.holdCompiler(false)
      await prepared
    } finally {
      double.holdCompiler(false)
    }
  }

  test("translates PTX without blocking the event loop", async () => {
    using driver = open()
    await prepareBesideTheLoop(() => driver.kernels.prepare(saxpyFrom({ ptx })))
  })

  test("compiles without blocking the event loop, and the launch need not compile", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const source = kernel("test_noop", [])
    let handles: unknown[] = []
    const prepareTwice = async () => {
      handles = await Promise.all([driver.kernels.prepare(source), driver.kernels.prepare(source)])
    }
    await prepareBesideTheLoop(prepareTwice)
    const [handle, again] = handles
    assert.equal(again, handle)
    assert.equal(await driver.kernels.prepare(source), handle)
    assert.equal(
      compiledIn(() => launch(driver, stream, source)),
      0,
    )
    assert.equal(double.launchesThatLoad(), 0)
  })

  test("loading the same kernel during its preparation is no conflict", async () => {
    using driver = open()
    const { libraries } = double.alive()
    const source = kernel("test_noop", [])
    double.setCompileTime(20)
    const prepared = driver.kernels.prepare(source)
    const loaded = driver.kernels.load(source)
    double.setCompileTime(0)
    assert.equal(await prepared, loaded)
    assert.equal(double.alive().libraries, libraries + 1)
  })

  test("rejects with the error that loading would throw", async () => {
    using driver = open()
    await assert.rejects(driver.kernels.prepare(saxpyFrom({ source: "#error" })), { code: "AUX_KERNEL_INVALID" })
    await assert.rejects(driver.kernels.prepare(saxpyFrom({ cubin: new Uint8Array(10) })), {
      code: "AUX_KERNEL_INVALID",
    })
    await assert.rejects(driver.kernels.prepare(withoutCode(saxpy)), { code: "AUX_KERNEL_UNAVAILABLE" })
  })

  test("a device that is closed during a preparation keeps nothing of it", async () => {
    const driver = open()
    double.setCompileTime(20)
    const prepared = driver.kernels.prepare(kernel("test_noop", []))
    driver.close()
    await assert.rejects(prepared, { code: "AUX_DISPOSED" })
    double.setCompileTime(0)
  })

  test("a first launch, compilation included, never waits for a held stream but is refused", async () => {
    using driver = open()
    const [held, stream] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(held)
    const error = thrownBy(() => launch(driver, stream, kernel("test_noop", [])))
    assert.ok(error instanceof AuxstreamError)
    assert.equal(error.code, "AUX_NOT_READY")
    assert.match(error.message, /await kernel.prepare/)
    assert.equal(driver.streams.query(stream), true, "nothing was queued")
    assert.equal(driver.streams.query(held), false)
    latch.open()
    driver.streams.synchronize(held)
    assert.equal(latch.timedOut, false)
    launch(driver, stream, kernel("test_noop", []))
    driver.streams.synchronize(stream)
  })
})

onDouble("loading many kernels", () => {
  test("keeps no memory for the driver's log of each kernel", async () => {
    using driver = open()
    const load = (count: number) => {
      for (let i = 0; i < count; i++) driver.kernels.load(saxpyFrom({ ptx }))
    }
    const prepare = () => Promise.all(Array.from({ length: 20 }, () => driver.kernels.prepare(saxpyFrom({ ptx }))))
    load(20)
    await prepare()
    await collect()
    const before = process.memoryUsage().arrayBuffers
    load(200)
    await prepare()
    for (let i = 0; i < 200; i++) thrownBy(() => driver.kernels.load(saxpyFrom({ ptx: ".version wrong" })))
    await collect()
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 420 * 1024, `${grown} bytes`)
  })

  test("unloads kernels whose definitions were collected when another one is loaded", async () => {
    using driver = open()
    const held = saxpyFrom({ ptx })
    const handle = driver.kernels.load(held)
    for (let i = 0; i < 40; i++) driver.kernels.load(saxpyFrom({ ptx }))
    await collectUntil(() => {
      driver.kernels.load(saxpyFrom({ ptx }))
      return double.alive().libraries < 10
    }, "few libraries are left")
    assert.equal(driver.kernels.load(held), handle)
    launch(driver, driver.streams.create(0), held, 0, 1, { address: 0, length: 0 }, { address: 0, length: 0 })
  })

  test("keeps a kernel that a graph launches", async () => {
    using device = openDevice("cuda:0")
    using x = device.full("int32", 4, 1)
    const define = () => defineKernel({ ...definition, signature: ["int32", "inout int32*", "int32", "int32"] })
    const definition = {
      name: "test_affine",
      cuda: { source: sourceOf("test_affine", ["int32", "inout int32*", "int32", "int32"]) },
    }
    const graph = captureGraph(() => define().launch({ grid: 1, block: 1 }, 4, x, 3, 1))
    const others = [define()]
    const before = double.alive().libraries
    const another = () => {
      const kernel = define()
      kernel.launch({ grid: 1, block: 1 }, 0, x, 1, 0)
      others.push(kernel)
    }
    for (let round = 0; round < 5; round++) {
      await collect()
      another()
    }
    assert.equal(double.alive().libraries, before + 5)
    graph.launch()
    assert.deepEqual([...(await x.read())], [4, 4, 4, 4])
    graph.dispose()
    let loaded = 5
    await collectUntil(() => {
      another()
      return double.alive().libraries < before + ++loaded
    }, "the graph's kernel is unloaded")
  })

  test("a failure's log contains nothing of an earlier failure", () => {
    using driver = open()
    invalid(() => driver.kernels.load(saxpyFrom({ ptx: ".version 8.0\nwrong" })), /Parsing error near 'wrong'/)
    const { message } = invalid(() => driver.kernels.load(saxpyFrom({ ptx: "none" })), /CUDA_ERROR_INVALID_IMAGE/)
    assert.doesNotMatch(message, /Parsing error/)
  })
})

onDouble("the signature", () => {
  test("must have as many parameters as the code", () => {
    using driver = open()
    const short: KernelSource = { ...saxpy, parameters: saxpy.parameters.slice(0, 3) }
    invalid(
      () => driver.kernels.load(short),
      /signature of kernel "test_saxpy" does not match its code/,
      /3 parameters, int32 \(4 bytes\), float32 \(4 bytes\), in float32\* \(8 bytes\)/,
      /4 parameters of 4, 4, 8, 8 bytes/,
    )
  })

  test("must have parameters of the code's sizes", () => {
    using driver = open()
    const wide: KernelSource = {
      ...saxpy,
      parameters: saxpy.parameters.map((parameter, index) =>
        index === 1 ? { dtype: "float64", access: undefined } : parameter,
      ),
    }
    invalid(() => driver.kernels.load(wide), /float64 \(8 bytes\)/, /Fix parameter 1 of the signature/)
  })

  test("must have structs of the code's size", () => {
    using driver = open()
    const parameter = (fields: object) => parseSignature([{ struct: fields }], "test_noop")
    const code = (bytes: number): CudaModuleBody => ({
      ptx: `.version 8.0\n.visible .entry test_noop(\n.param .align 8 .b8 p[${bytes}]\n)\n{ ret; }\n`,
    })
    const source = (fields: object, bytes: number): KernelSource => ({
      ...withCode(noop, code(bytes)),
      parameters: parameter(fields),
    })
    const fields = { n: "int32", x: "in float32*", rest: ["int16", 3] }
    driver.kernels.load(source(fields, 24))
    invalid(
      () => driver.kernels.load(source(fields, 16)),
      /\{ struct: \{ n: int32, x: in float32\*, rest: \[int16, 3\] \} \} \(24 bytes\)/,
      /Code: 1 parameter of 16 bytes/,
      /Fix parameter 0 of the signature/,
    )
    invalid(() => driver.kernels.load(source({ n: "int32" }, 8)), /\(4 bytes\)/)
  })

  test("of a kernel without parameters is empty", () => {
    using driver = open()
    driver.kernels.load(noop)
    const given = { ...noop, parameters: saxpy.parameters }
    invalid(() => driver.kernels.load(given), /Code: no parameters\./)
  })
})

onDouble("PTX and cubin", () => {
  test("PTX is taken as text and as bytes", () => {
    using driver = open()
    driver.kernels.load(saxpyFrom({ ptx }))
    driver.kernels.load(saxpyFrom({ ptx: new TextEncoder().encode(ptx) }))
  })

  test("the error has the driver's messages about wrong PTX", () => {
    using driver = open()
    const wrong = saxpyFrom({ ptx: `.version 8.0\nwrong` })
    const error = invalid(
      () => driver.kernels.load(wrong),
      /CUDA_ERROR_INVALID_PTX/,
      /\nptxas .+Parsing error near 'wrong'/,
    )
    assert.ok(error.cause instanceof Error)
  })

  test("a cubin is passed as it is, and anything else is refused", () => {
    using driver = open()
    const image = new TextEncoder().encode("CUDA-DOUBLE sm_90\n.entry test_saxpy s4 s4 p8 p8\n")
    driver.kernels.load(saxpyFrom({ cubin: image }))
    invalid(
      () => driver.kernels.load(saxpyFrom({ cubin: new TextEncoder().encode("none") })),
      /CUDA_ERROR_INVALID_IMAGE/,
    )
  })
})

onDouble("the cache on disk", () => {
  beforeEach(freshCache)

  /** Loads a kernel on a new device, like another process. */
  function load(source: string, options: string[] = []): void {
    using driver = open()
    driver.kernels.load(withCode(noop, { source, options }))
  }

  const source = sourceOf("test_noop", [])

  test("a kernel is compiled once for all devices and programs", () => {
    assert.equal(
      compiledIn(() => load(source)),
      1,
    )
    assert.equal(
      compiledIn(() => load(source)),
      0,
    )
    assert.equal(readdirSync(cache).length, 1)
  })

  test("another source, option, compiler or architecture is another entry", () => {
    load(source)
    assert.equal(
      compiledIn(() => load(`${source} `)),
      1,
    )
    assert.equal(
      compiledIn(() => load(source, ["--fmad=false"])),
      1,
    )
    double.setAttribute(76, 3)
    assert.equal(
      compiledIn(() => load(source)),
      1,
    )
    double.setAttribute(76, 0)
    double.setCompilerVersion(13, 1)
    const path = process.env["AUXSTREAM_LIBNVRTC"] ?? ""
    process.env["AUXSTREAM_LIBNVRTC"] = path.replace("/lib", "/././lib")
    assert.equal(
      compiledIn(() => load(source)),
      1,
    )
    process.env["AUXSTREAM_LIBNVRTC"] = path
    double.setCompilerVersion(13, 0)
    assert.equal(
      compiledIn(() => load(source)),
      0,
    )
  })

  test("a changed header is compiled again, whether an option names its folder or the source its path", () => {
    const folder = mkdtempSync(join(tmpdir(), "auxstream-header-"))
    const header = join(folder, "value.h")
    try {
      for (const [included, options] of [
        ["<value.h>", ["-I", folder]],
        [`"${header}"`, []],
      ] as const) {
        const withHeader = `#include ${included}\n${source}`
        for (const [text, times] of [
          ["1", 1],
          ["1", 0],
          ["2", 1],
          ["1", 0],
        ] as const) {
          writeFileSync(header, text)
          assert.equal(
            compiledIn(() => load(withHeader, [...options])),
            times,
          )
        }
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test("a header that changes while it is compiled leaves nothing in the cache", async () => {
    const folder = mkdtempSync(join(tmpdir(), "auxstream-header-"))
    const header = join(folder, "value.h")
    writeFileSync(header, "1")
    using driver = open()
    double.holdCompiler(true)
    try {
      const prepared = driver.kernels.prepare(withCode(noop, { source: `#include "${header}"\n${source}` }))
      await until(() => double.compilationsHeld() > 0)
      writeFileSync(header, "2")
      double.holdCompiler(false)
      await prepared
      assert.deepEqual(readdirSync(cache), [])
    } finally {
      double.holdCompiler(false)
      rmSync(folder, { recursive: true })
    }
  })

  test("a source whose headers only the compiler can determine is not cached", () => {
    for (const unknown of [
      `#define H <cuda_fp16.h>\n#include H\n${source}`,
      `// none\nint at = __TIME__[0];\n${source}`,
    ]) {
      for (let round = 0; round < 2; round++) {
        assert.equal(
          compiledIn(() => load(unknown)),
          1,
        )
      }
    }
    assert.equal(
      compiledIn(() => load(source, ["--pch"])),
      1,
    )
    assert.deepEqual(readdirSync(cache), [])
  })

  test("an intact entry that is no image, written by other software, is compiled again", async () => {
    load(source)
    const [name] = readdirSync(cache)
    const path = join(cache, name ?? "")
    const whole = readFileSync(path)
    const { cubin, mangled } = {
      cubin: cubinOf(new Uint8Array(9)),
      mangled: Buffer.from("CUDA-DOUBLE sm_90\n.entry other\n"),
    }
    for (const image of [Buffer.from("junk"), Buffer.from([0, 1, 2]), cubin.subarray(0, 100), mangled]) {
      const planted = Buffer.concat([createHash("sha256").update(image).digest(), image])
      writeFileSync(path, planted)
      assert.equal(
        compiledIn(() => load(source)),
        1,
      )
      assert.deepEqual(readFileSync(path), whole)
      writeFileSync(path, planted)
      using driver = open()
      await driver.kernels.prepare(withCode(noop, { source, options: [] }))
      assert.deepEqual(readFileSync(path), whole)
    }
  })

  test("a damaged entry is compiled again and replaced", () => {
    load(source)
    const [name] = readdirSync(cache)
    const path = join(cache, name ?? "")
    const whole = readFileSync(path)
    for (const damaged of [whole.subarray(0, whole.length - 5), Buffer.alloc(0), Buffer.from(whole).fill(1, 40, 41)]) {
      writeFileSync(path, damaged)
      assert.equal(
        compiledIn(() => load(source)),
        1,
      )
      assert.deepEqual(readFileSync(path), whole)
    }
  })

  test("a directory that cannot be written is no error", () => {
    const file = join(cache, "file")
    writeFileSync(file, "")
    process.env["AUXSTREAM_CACHE_DIR"] = join(file, "below")
    assert.equal(
      compiledIn(() => load(source)),
      1,
    )
    const closed = join(cache, "closed")
    mkdirSync(closed)
    chmodSync(closed, 0o500)
    process.env["AUXSTREAM_CACHE_DIR"] = closed
    load(source)
  })

  test("processes that compile the same kernel concurrently all get the whole image", async () => {
    const url = new URL("./device.js", import.meta.url).href
    // The helpers set a cache of their own when they are loaded.
    const program = `
      import { open, kernel } from "${url}"
      process.env.AUXSTREAM_CACHE_DIR = ${JSON.stringify(cache)}
      const driver = open()
      for (let i = 0; i < 20; i++) driver.kernels.load(kernel("test_noop", []))
      driver.close()`
    const exits = Array.from(
      { length: 4 },
      () =>
        new Promise((resolve) => {
          spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "inherit" }).on("exit", resolve)
        }),
    )
    assert.deepEqual(await Promise.all(exits), [0, 0, 0, 0])
    await until(() => readdirSync(cache).length === 1)
    const [name] = readdirSync(cache)
    assert.match(name ?? "", /^[0-9a-f]{64}$/)
  })
})

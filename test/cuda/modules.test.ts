import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { captureGraph, type CudaModuleBody, defineModule, type Device, openDevice } from "../../src/index.js"
import { collectUntil } from "../support/collect.js"
import { refused, rejected } from "../support/errors.js"
import { fatbinOf } from "../support/images.js"
import { once } from "../support/kernels.js"
import { double } from "./double.js"
import { Latch, onDouble, sourceOf, unknown, until } from "./device.js"

let folder = ""

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "auxstream-modules-"))
  process.env["AUXSTREAM_CACHE_DIR"] = join(folder, "cache")
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Kernels of the double, all without parameters but the last. */
const names = ["test_noop", "test_fault", "test_local"] as const
const source = [
  ...names.map((name) => sourceOf(name, [])),
  "template <typename T> __global__ void test_fill(int n, T value, T* out) {}",
].join("\n")

function define(cuda: CudaModuleBody = { source }) {
  const module = defineModule({ name: "tests", cuda })
  const kernels = names.map((name) => module.kernel({ name, signature: [] }))
  return { module, kernels }
}

/** How often the calls are made in `fn`. */
async function counted(fn: () => unknown): Promise<{ compiled: number; loaded: number; found: number }> {
  const counts = () =>
    ["nvrtcCompileProgram", "cuLibraryLoadData", "cuLibraryGetKernel"].map((name) => double.count(name))
  const before = counts()
  await fn()
  const [compiled = 0, loaded = 0, found = 0] = counts().map((count, index) => count - (before[index] ?? 0))
  return { compiled, loaded, found }
}

onDouble("§11 a module", () => {
  test("is compiled once and loaded once for all of its kernels, one after another", async () => {
    using device = openDevice("cuda:0")
    const { kernels } = define()
    assert.deepEqual(await counted(() => kernels.forEach((kernel) => kernel.load(device))), {
      compiled: 1,
      loaded: 1,
      found: 3,
    })
  })

  test("is compiled once and loaded once for preparations at the same time, of kernels and of the module", async () => {
    using device = openDevice("cuda:0")
    const { module, kernels } = define()
    double.setCompileTime(20)
    const prepare = () =>
      Promise.all([module.prepare(device), ...kernels.map((kernel) => kernel.prepare(device)), module.prepare(device)])
    assert.deepEqual(await counted(prepare), { compiled: 1, loaded: 1, found: 3 })
    double.setCompileTime(0)
    assert.deepEqual(await counted(prepare), { compiled: 0, loaded: 0, found: 0 })
  })

  test("is loaded once for each device, and compiled once for both", async () => {
    using first = openDevice("cuda:0")
    double.setDevices(2)
    using second = openDevice("cuda:1")
    const { module } = define()
    const prepare = async () => {
      for (const device of [first, second]) await module.prepare(device)
    }
    assert.deepEqual(await counted(prepare), { compiled: 1, loaded: 2, found: 6 })
    double.setDevices(1)
  })

  test("that was replaced by a launch while it was prepared leaves one library", async () => {
    using device = openDevice("cuda:0")
    const { libraries } = double.alive()
    const { module, kernels } = define()
    double.setCompileTime(20)
    const prepared = module.prepare(device)
    kernels[0]?.load(device)
    double.setCompileTime(0)
    await prepared
    assert.equal(double.alive().libraries, libraries + 1)
  })

  test("with eager loading is loaded once, while the device is idle", async () => {
    double.setEager(true)
    try {
      using device = openDevice("cuda:0")
      const { module, kernels } = define()
      assert.deepEqual(await counted(() => module.prepare(device)), { compiled: 1, loaded: 1, found: 3 })
      kernels[0]?.launch({ ...once, stream: device.defaultStream })
      assert.equal(double.waits(), 0)
    } finally {
      double.setEager(false)
    }
  })
})

onDouble("§11 symbols", () => {
  const symbol = (cuda: CudaModuleBody, name: string) =>
    defineModule({ name: "tests", cuda }).kernel({ name: "k", signature: [], cuda: { symbol: name } })

  test("a template's name expression becomes a symbol, which the cache keeps", async () => {
    using device = openDevice("cuda:0")
    for (const compiled of [1, 0]) {
      const { module } = define()
      const fill = module.kernel({
        name: "fill",
        signature: ["int32", "float32", "out float32*"],
        cuda: { symbol: "test_fill<float>" },
      })
      assert.deepEqual(await counted(() => module.prepare(device)), { compiled, loaded: 1, found: 4 })
      using x = device.zeros("float32", 2)
      fill.launch(once, 2, 1.5, x)
      assert.deepEqual([...x.readSync()], [1.5, 1.5])
    }
    // Without the expression it is another image.
    assert.equal((await counted(() => define().module.prepare(device))).compiled, 1)
  })

  test("a template that cannot be instantiated is refused with the compiler's words", () => {
    using device = openDevice("cuda:0")
    const { module } = define()
    const kernel = module.kernel({ name: "k", signature: [], cuda: { symbol: "test_none<float>" } })
    refused(
      () => kernel.load(device),
      "AUX_KERNEL_INVALID",
      /Module "tests" does not compile/,
      /test_none<float>" is undefined/,
    )
  })

  const image = (...symbols: string[]) => symbols.map((name) => `.visible .entry ${name}()\n{ ret; }`).join("\n")
  const ptx = `.version 8.0\n.target sm_90\n.address_size 64\n${image("_ZN4test4overEi", "_ZN4test4overEf", "_Z9test_noopv", "test_local")}\n`
  const images: readonly (readonly [string, CudaModuleBody])[] = [
    ["PTX", { ptx }],
    // Our code cannot read the contents of this one, as if it were compressed.
    [
      "a fatbin",
      {
        fatbin: fatbinOf(
          new TextEncoder().encode(
            `CUDA-DOUBLE sm_90\n.entry _ZN4test4overEi s4\n.entry _ZN4test4overEf s4\n.entry _Z9test_noopv\n.entry test_local\n`,
          ),
        ),
      },
    ],
  ]
  for (const [what, cuda] of images) {
    test(`of ${what} are found exactly, or by the only unmangled name; errors list them`, () => {
      using device = openDevice("cuda:0")
      symbol(cuda, "test_local").load(device)
      symbol(cuda, "_Z9test_noopv").load(device)
      symbol(cuda, "test_noop").load(device)
      const list =
        /_Z9test_noopv \(test_noop\), _ZN4test4overEf \(test::over\), _ZN4test4overEi \(test::over\), test_local/
      refused(() => symbol(cuda, "missing").load(device), "AUX_KERNEL_INVALID", /has no symbol/, list)
      refused(() => symbol(cuda, "test::over").load(device), "AUX_KERNEL_INVALID", /more than one/, list)
      refused(() => symbol(cuda, "test_noop<float>").load(device), "AUX_KERNEL_INVALID", /test_noop<float>/, list)
    })
  }
})

onDouble("§11 headers", () => {
  const kernel = sourceOf("test_noop", [])
  const compiles = async (device: Device, cuda: CudaModuleBody): Promise<number> =>
    (await counted(() => defineModule({ cuda }).kernel({ name: "test_noop", signature: [] }).load(device))).compiled

  test("as texts and from include paths are part of the cache's key", async () => {
    using device = openDevice("cuda:0")
    const withText = (text: string): CudaModuleBody => ({
      source: `#include "a.h"\n${kernel}`,
      headers: { "a.h": text },
    })
    assert.equal(await compiles(device, withText("#define A 1")), 1)
    assert.equal(await compiles(device, withText("#define A 1")), 0)
    assert.equal(await compiles(device, withText("#define A 2")), 1)
    const file = join(folder, "kernels.cu")
    const header = join(folder, "b.h")
    writeFileSync(file, `#include "b.h"\n${kernel}`)
    for (const [text, times] of [
      ["1", 1],
      ["1", 0],
      ["2", 1],
    ] as const) {
      writeFileSync(header, text)
      assert.equal(await compiles(device, { file }), times, "beside the file")
      const given = { source: `#include "b.h"\n${kernel}`, includePaths: [folder] }
      assert.equal(await compiles(device, given), times, "in an include path")
    }
  })

  test("whose name is computed, in a text too, turn the cache off", async () => {
    using device = openDevice("cuda:0")
    const cuda = { source: `#include "a.h"\n${kernel}`, headers: { "a.h": "#define H <b.h>\n#include H" } }
    for (let round = 0; round < 2; round++) assert.equal(await compiles(device, cuda), 1)
  })

  test("and files that are missing are refused before anything is queued, with what to do", () => {
    using device = openDevice("cuda:0")
    const queued = double.count("cuLaunchKernelEx")
    const cases: [CudaModuleBody, RegExp][] = [
      [
        { source: `#include "none.h"\n${kernel}` },
        /cannot open source file "none.h"[^]*Give none.h as a text in `headers`, or its folder in `includePaths`\.$/,
      ],
      [{ file: join(folder, "none.cu") }, /there is no file .*none\.cu/],
      [{ source: `${kernel}\n#error "--no-such-option"`, options: ["--no-such-option"] }, /--no-such-option/],
    ]
    for (const [cuda, message] of cases) {
      const kernel = defineModule({ name: "tests", cuda }).kernel({ name: "test_noop", signature: [] })
      refused(() => kernel.launch({ ...once, stream: device.defaultStream }), "AUX_KERNEL_INVALID", message)
    }
    assert.equal(double.count("cuLaunchKernelEx"), queued)
  })
})

onDouble("§11 globals", () => {
  const code = `__constant__ float table[4];\n__device__ int counter;\n${sourceOf("test_noop", [])}`
  const withGlobals = (
    globals: Parameters<typeof defineModule>[0]["globals"],
    cuda: CudaModuleBody = { source: code },
  ) => {
    const module = defineModule({ name: "tests", cuda, globals })
    return { module, kernel: module.kernel({ name: "test_noop", signature: [] }) }
  }

  test("that the code does not have, or has in another size, are refused with those that it has", async () => {
    using device = openDevice("cuda:0")
    for (const [globals, message] of [
      [
        { tables: ["float32", 4] },
        /no global "tables" in its code for CUDA\. The globals of its code are counter, table/,
      ],
      [
        { table: ["float32", 5] },
        /Module "tests" must declare the global "table" .* 16 bytes; got \["float32", 5\], which has 20 bytes/,
      ],
    ] as const) {
      const { module, kernel } = withGlobals(globals)
      refused(() => kernel.launch({ ...once, stream: device.defaultStream }), "AUX_KERNEL_INVALID", message)
      await rejected(() => module.prepare(device), "AUX_KERNEL_INVALID", message)
    }
  })

  test("that CUDA does not give are an error that leaves nothing, and the next attempt succeeds", async () => {
    using device = openDevice("cuda:0")
    const { module } = withGlobals({ table: ["float32", 4] })
    double.fail("cuLibraryGetGlobal", 1, unknown)
    assert.throws(() => module.global(device, "table"), { code: "AUX_CUDA_FAILED" })
    module.global(device, "table").copyFrom(Float32Array.of(1, 2, 3, 4))
    double.fail("cuLibraryGetGlobal", 1, unknown)
    const other = withGlobals({ counter: ["int32", 1] })
    await assert.rejects(other.module.prepare(device), { code: "AUX_CUDA_FAILED" })
    assert.deepEqual([...other.module.global(device, "counter").readSync()], [0])
  })

  test("a view of one keeps its module loaded when nobody holds the module", async () => {
    using device = openDevice("cuda:0")
    const view = withGlobals({ table: ["float32", 4] }).module.global(device, "table")
    view.copyFrom(Float32Array.of(1, 2, 3, 4))
    const another = () =>
      defineModule({ cuda: { source: sourceOf("test_noop", []) } })
        .kernel({ name: "test_noop", signature: [] })
        .load(device)
    for (let count = 0; count < 5; count++) another()
    const before = double.alive().libraries
    await collectUntil(() => {
      another()
      return double.alive().libraries < before
    }, "the others are unloaded")
    assert.deepEqual([...view.readSync()], [1, 2, 3, 4])
  })
})

onDouble("§8 a module that is disposed of", () => {
  test("is unloaded behind queued work, without a wait", async () => {
    using device = openDevice("cuda:0")
    const { module, kernels } = define()
    await module.prepare(device)
    using stream = device.createStream()
    const latch = new Latch(device.driver).hold(stream.state.handle)
    const { libraries } = double.alive()
    const waits = double.waits()
    kernels[0]?.launch({ ...once, stream })
    module.dispose()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(double.alive().libraries, libraries)
    latch.open()
    await stream.completed()
    await until(() => double.alive().libraries === libraries - 1)
    assert.equal(double.waits(), waits)
    latch.free()
  })

  test("stays while a graph launches it", async () => {
    using device = openDevice("cuda:0")
    const { module, kernels } = define()
    await module.prepare(device)
    const { libraries } = double.alive()
    const graph = captureGraph(() => kernels[0]?.launch(once), { device })
    module.dispose()
    graph.launch()
    await device.completed()
    assert.equal(double.alive().libraries, libraries)
    graph.dispose()
    await until(() => double.alive().libraries === libraries - 1)
  })

  test("while it is prepared leaves nothing", async () => {
    using device = openDevice("cuda:0")
    const { libraries } = double.alive()
    const { module } = define()
    double.setCompileTime(20)
    const prepared = module.prepare(device)
    module.dispose()
    await assert.rejects(prepared, { code: "AUX_DISPOSED" })
    double.setCompileTime(0)
    await until(() => double.alive().libraries === libraries)
  })
})

onDouble("§11 a stale entry of the cache", () => {
  test("is compiled over once, for kernels that are prepared at the same time, too", async () => {
    using device = openDevice("cuda:0")
    await define().module.prepare(device)
    const cache = join(folder, "cache")
    const [name = ""] = readdirSync(cache)
    const whole = readFileSync(join(cache, name))
    const plant = (image: string) => {
      const contents = Buffer.concat([Buffer.alloc(4), Buffer.from(image)])
      writeFileSync(join(cache, name), Buffer.concat([createHash("sha256").update(contents).digest(), contents]))
    }
    for (const image of ["junk", "CUDA-DOUBLE sm_90\n.entry other\n"]) {
      plant(image)
      const { module } = define()
      const { compiled } = await counted(() => module.prepare(device))
      assert.equal(compiled, 1)
      assert.deepEqual(readFileSync(join(cache, name)), whole)
      plant(image)
      const again = define()
      assert.equal((await counted(() => again.kernels.forEach((kernel) => kernel.load(device)))).compiled, 1)
    }
  })
})

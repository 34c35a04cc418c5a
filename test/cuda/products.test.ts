/** What matrix products ask of cuBLASLt: plans, which are kept and bounded, and what becomes of failures. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul, matmulGrouped, type MatmulOptions, prepareMatmul } from "../../src/blas/index.js"
import { MOST_PLANS } from "../../src/cuda/products/plan-cache.js"
import { captureGraph, CudaError, type Device, DeviceLostError, openDevice, parallel } from "../../src/index.js"
import { withEnvironment } from "../support/environment.js"
import { refused, rejected } from "../support/errors.js"
import { deviceIsLost, fault, launch, onDouble, takeWarnings, thrownBy, until, untilGone } from "./device.js"
import { double } from "./double.js"

const square = { m: 2, n: 2, k: 2 }
/** CUBLAS_STATUS_INTERNAL_ERROR, CUBLAS_STATUS_NOT_SUPPORTED */
const [internalError, notSupported] = [14, 15]
/** Of each plan: one description and three layouts. */
const DESCRIPTIONS = 4

/** Two arrays on the device: 1 2 3 4, and room for its square. */
function arrays(device: Device) {
  return { a: device.from(Float32Array.of(1, 2, 3, 4)), out: device.zeros("float32", 4) }
}

/** Names of the calls of cuBLASLt, with their arguments. */
function callsOf(fn: () => void): (string | number)[][] {
  return double.log(fn).filter(([name]) => String(name).startsWith("cublas"))
}

const namesOf = (calls: (string | number)[][]) => calls.map(([name]) => name)

/** How many plans were made meanwhile. */
function plansMadeBy(fn: () => void): number {
  const before = double.count("cublasLtMatmulAlgoGetHeuristic")
  fn()
  return double.count("cublasLtMatmulAlgoGetHeuristic") - before
}

onDouble("matrix products by cuBLASLt", () => {
  test("the first product makes the library's handle and a plan; later ones are one call of cuBLASLt and two of the driver", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    const product = () => matmul({ a, b: a, out, ...square })
    const first = namesOf(callsOf(product))
    assert.equal(first[0], "cublasLtCreate")
    assert.equal(first.filter((name) => name === "cublasLtMatmulAlgoGetHeuristic").length, 1)
    assert.equal(first.at(-1), "cublasLtMatmul")
    assert.deepEqual(namesOf(double.log(product)), ["cuCtxPushCurrent_v2", "cublasLtMatmul", "cuCtxPopCurrent_v2"])
    assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
  })

  test("§11 a plan is kept for everything that it depends on, and for nothing else", () => {
    using device = openDevice("cuda:0")
    const floats = device.zeros("float32", 4096)
    const halves = device.zeros("float16", 4096)
    const results = device.zeros("float32", 4096)
    const bias = device.zeros("float32", 64)
    const base: MatmulOptions = { a: floats, b: floats.subarray(1024), out: results, m: 8, n: 8, k: 8 }
    assert.equal(
      plansMadeBy(() => matmul(base)),
      1,
    )
    const batch = { count: 2, strideA: 64, strideB: 64, strideOut: 64 }
    const others: readonly MatmulOptions[] = [
      { ...base, m: 7 },
      { ...base, n: 7 },
      { ...base, k: 7 },
      { ...base, transposeA: true },
      { ...base, transposeB: true },
      { ...base, ldA: 9 },
      { ...base, ldB: 9 },
      { ...base, ldOut: 9 },
      { ...base, beta: 1 },
      { ...base, activation: "relu" },
      { ...base, activation: "gelu" },
      { ...base, bias },
      { ...base, bias: bias.subarray(1) },
      { ...base, bias, activation: "gelu" },
      { ...base, batch },
      { ...base, batch: { ...batch, count: 3 } },
      { ...base, batch: { ...batch, strideA: 0 } },
      { ...base, batch: { ...batch, strideB: 0 } },
      { ...base, batch: { ...batch, strideOut: 65 } },
      { ...base, a: halves, b: halves },
      { ...base, a: floats.subarray(1) },
      { ...base, b: floats.subarray(1025) },
      { ...base, b: floats.subarray(1026) },
      { ...base, out: results.subarray(1) },
    ]
    const all = () => {
      for (const product of others) matmul(product)
    }
    assert.equal(plansMadeBy(all), others.length)
    assert.equal(plansMadeBy(all), 0)
    const same: readonly MatmulOptions[] = [
      { ...base, alpha: 3 },
      { ...base, a: floats.subarray(4), b: floats.subarray(2000) },
      { ...base, beta: -2 },
      { ...base, bias: bias.subarray(4) },
      { ...base, batch: { count: 1, strideA: 5, strideB: 6, strideOut: 700 } },
      { ...base, stream: device.createStream() },
    ]
    device.synchronize()
    const more = () => {
      for (const product of same) matmul(product)
    }
    assert.equal(plansMadeBy(more), 0)
  })

  test("§11 at most so many plans are kept; the least recently used one is dropped first; none outlives the device", async () => {
    {
      using device = openDevice("cuda:0")
      using x = device.zeros("float32", MOST_PLANS + 8)
      using out = device.zeros("float32", MOST_PLANS + 8)
      const product = (k: number) => matmul({ a: x, b: x, out, m: 1, n: 1, k })
      for (let k = 1; k <= MOST_PLANS; k++) product(k)
      assert.equal(double.alive().descriptions, MOST_PLANS * DESCRIPTIONS)
      product(1) // The second is now the oldest.
      product(MOST_PLANS + 1)
      assert.equal(double.alive().descriptions, MOST_PLANS * DESCRIPTIONS)
      assert.equal(
        plansMadeBy(() => product(1)),
        0,
      )
      assert.equal(
        plansMadeBy(() => product(2)),
        1,
      )
    }
    await untilGone()
    assert.equal(double.alive().descriptions, 0)
  })

  test("a bias is set for each call: one plan serves the biases of all layers", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    const biases = [1, 2, 3].map((value) => device.full("float32", 2, value))
    const product = (bias: (typeof biases)[number]) => matmul({ a, b: a, out, ...square, bias })
    assert.equal(
      plansMadeBy(() => biases.forEach(product)),
      1,
    )
    for (const [index, bias] of biases.entries()) {
      product(bias)
      assert.deepEqual(out.readSync(), Float32Array.of(8 + index, 11 + index, 16 + index, 23 + index))
    }
  })

  test("scales are set for each call, and unset: one plan serves products with and without them", () => {
    using device = openDevice("cuda:0")
    using a = device.full("float8_e4m3fn", 256, 1)
    using out = device.zeros("float32", 256)
    using scale = device.full("float32", 1, 0.5)
    const shape = { a, b: a, out, m: 16, n: 16, k: 16, transposeB: true }
    const results = [{ scaleA: scale }, { scaleB: scale }, { scaleA: scale, scaleB: scale }, {}].map((scales) => {
      matmul({ ...shape, ...scales })
      return out.readSync()[0]
    })
    assert.deepEqual(results, [8, 8, 4, 16])
    assert.equal(double.alive().descriptions, DESCRIPTIONS)
  })

  test("streams share the library's handle and the plans, and have a workspace each", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    const other = device.zeros("float32", 4)
    const calls = callsOf(() => {
      parallel([() => matmul({ a, b: a, out, ...square }), () => matmul({ a, b: a, out: other, ...square })])
    }).filter(([name]) => name === "cublasLtMatmul")
    const column = (index: number) => new Set(calls.map((call) => call[index])).size
    assert.deepEqual([calls.length, column(1), column(2), column(3)], [2, 1, 2, 2])
    assert.deepEqual(other.readSync(), out.readSync())
    assert.equal(double.alive().products, 1)
  })

  test("in a capture, products become nodes, whose workspace the graph holds", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    using bias = device.full("float32", 2, 1)
    matmul({ a, b: a, out, ...square })
    using graph = captureGraph(() => matmul({ a, b: a, out, ...square, beta: 1, bias }), { device })
    assert.equal(graph.nodeCount, 1)
    for (let i = 0; i < 3; i++) graph.launch()
    matmul({ a, b: a, out, ...square, beta: 1 })
    assert.deepEqual(out.readSync(), Float32Array.of(38, 53, 78, 113))
  })

  test("a product that reads no inputs is a product of zeros, in a capture, too", () => {
    using device = openDevice("cuda:0")
    using nan = device.full("float32", 4, NaN)
    using out = device.full("float32", 4, 1)
    using bias = device.from(Float32Array.of(1, -9))
    const product = () => matmul({ a: nan, b: nan, out, ...square, alpha: 0, beta: 2, bias, activation: "relu" })
    product()
    assert.deepEqual(out.readSync(), Float32Array.of(3, 0, 3, 0))
    using graph = captureGraph(product, { device })
    graph.launch()
    assert.deepEqual(out.readSync(), Float32Array.of(7, 0, 7, 0))
  })

  test("§11 a group is one operation and one call of cuBLAS, on a handle of its stream; in a capture, a call for each", () => {
    using device = openDevice("cuda:0")
    const a = device.from(Float32Array.from({ length: 16 }, (_, i) => i))
    using out = device.zeros("float32", 16)
    using other = device.zeros("float32", 16)
    const group = () =>
      matmulGrouped([
        { a, b: a, out, m: 4, n: 4, k: 4 },
        { a, b: a, out: other, m: 1, n: 4, k: 4, alpha: 2 },
      ])
    const setUp = ["cublasCreate_v2", "cublasSetStream_v2", "cublasSetMathMode", "cublasSetWorkspace_v2"]
    assert.deepEqual(namesOf(callsOf(group)), [...setUp, "cublasGemmGroupedBatchedEx"])
    assert.deepEqual(namesOf(callsOf(group)), ["cublasGemmGroupedBatchedEx"])
    const expected = [...out.readSync(), ...other.readSync()]
    assert.deepEqual(expected.slice(0, 4), [56, 62, 68, 74])
    assert.deepEqual(expected.slice(16, 24), [112, 124, 136, 148, 0, 0, 0, 0])
    using graph = captureGraph(group, { device })
    assert.equal(graph.nodeCount, 1)
    for (const array of [out, other]) array.fill(0)
    graph.launch()
    assert.deepEqual([...out.readSync(), ...other.readSync()], expected)
    using stream = device.createStream()
    stream.wait(device.defaultStream)
    assert.deepEqual(namesOf(callsOf(() => stream.run(group))), [...setUp, "cublasGemmGroupedBatchedEx"])
    stream.synchronize()
    assert.equal(double.alive().groups, 2)
    stream.dispose()
    using another = device.createStream()
    another.wait(device.defaultStream)
    assert.ok(!namesOf(callsOf(() => another.run(group))).includes("cublasCreate_v2"), "a handle was not used again")
    another.synchronize()
  })

  test("§11 products that cuBLAS' groups do not have are queued one after another", () => {
    using device = openDevice("cuda:0")
    using a = device.full("float32", 64, 1)
    using halves = device.full("float16", 64, 1)
    using outs = device.zeros("float32", 512)
    const at = (index: number, offset = 0) => outs.subarray(index * 64 + offset)
    const square4 = { m: 4, n: 4, k: 4 }
    const plain = [0, 1].map((index) => ({ a, b: a, out: at(index), ...square4 }))
    const others = [
      { a, b: a, out: at(2), ...square4, bias: a },
      { a, b: a, out: at(3), ...square4, activation: "relu" as const },
      { a, b: a, out: at(4, 1), ...square4 },
      { a: a.subarray(2), b: a, out: at(5), ...square4 },
      { a, b: a, out: at(6), ...square4, ldA: 5 },
    ]
    const wide = { a: halves, b: halves, out: at(7), ...square4 }
    const names = namesOf(callsOf(() => matmulGrouped<"float32" | "float16">([...plain, ...others, wide])))
    assert.equal(names.filter((name) => name === "cublasGemmGroupedBatchedEx").length, 1)
    assert.equal(names.filter((name) => name === "cublasLtMatmul").length, others.length + 1)
    const found = outs.readSync()
    assert.deepEqual(
      [0, 64, 128, 192, 257, 320, 384, 448].map((element) => found[element]),
      [4, 4, 5, 4, 4, 4, 4, 4],
    )
    assert.equal(namesOf(callsOf(() => matmulGrouped(plain.slice(0, 1)))).at(-1), "cublasLtMatmul")
  })

  test("without cuBLAS, or with one before 12.5, a group is a call for each product", () => {
    using device = openDevice("cuda:0")
    using a = device.full("float32", 16, 1)
    using outs = device.zeros("float32", 32)
    withEnvironment({ AUXSTREAM_LIBCUBLAS: "/nowhere/libcublas.so" }, () => {
      const products = [0, 16].map((begin) => ({ a, b: a, out: outs.subarray(begin), m: 4, n: 4, k: 4 }))
      const names = namesOf(callsOf(() => matmulGrouped(products)))
      assert.equal(names.filter((name) => name === "cublasLtMatmul").length, 2)
    })
    assert.deepEqual(outs.readSync(), new Float32Array(32).fill(4))
  })

  test("a call of cuBLAS that fails is an error with its name, and the next group works", async () => {
    const calls = ["cublasCreate_v2", "cublasSetStream_v2", "cublasSetMathMode", "cublasSetWorkspace_v2"]
    for (const symbol of [...calls, "cublasGemmGroupedBatchedEx"]) {
      {
        using device = openDevice("cuda:0")
        using a = device.full("float32", 16, 1)
        using outs = device.zeros("float32", 32)
        const products = [0, 16].map((begin) => ({ a, b: a, out: outs.subarray(begin), m: 4, n: 4, k: 4 }))
        double.fail(symbol, 1, internalError)
        const error = thrownBy(() => matmulGrouped(products))
        assert.ok(error instanceof CudaError, String(error))
        assert.equal(error.message, `${symbol.replace("_v2", "")} failed with CUBLAS_STATUS_INTERNAL_ERROR`)
        assert.deepEqual(outs.readSync(), new Float32Array(32))
        matmulGrouped(products)
        assert.deepEqual(outs.readSync(), new Float32Array(32).fill(4))
      }
      await untilGone()
    }
  })

  test("a call that fails is an error with cuBLAS' own name and the call, and leaves nothing behind", async () => {
    const calls = [
      "cublasLtCreate",
      "cublasLtMatmulDescCreate",
      "cublasLtMatmulDescSetAttribute",
      "cublasLtMatrixLayoutCreate",
      "cublasLtMatrixLayoutSetAttribute",
      "cublasLtMatmulPreferenceCreate",
      "cublasLtMatmulPreferenceSetAttribute",
      "cublasLtMatmulAlgoGetHeuristic",
      "cublasLtMatmul",
    ]
    const batch = { count: 2, strideA: 0, strideB: 0, strideOut: 4 }
    for (const name of calls) {
      for (const nth of name.endsWith("LayoutCreate") ? [1, 2, 3] : [1]) {
        {
          using device = openDevice("cuda:0")
          const { a } = arrays(device)
          const out = device.zeros("float32", 8)
          double.fail(name, nth, internalError)
          const error = thrownBy(() => matmul({ a, b: a, out, ...square, batch }))
          assert.ok(error instanceof CudaError, String(error))
          assert.equal(error.message, `${name} failed with CUBLAS_STATUS_INTERNAL_ERROR`)
          assert.equal(double.alive().descriptions, name === "cublasLtMatmul" ? DESCRIPTIONS : 0, name)
          assert.deepEqual(out.readSync(), new Float32Array(8))
          matmul({ a, b: a, out, ...square, batch })
          assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22, 7, 10, 15, 22))
          assert.equal(double.alive().products, 1, name)
        }
        await untilGone()
      }
    }
  })

  test("a product without an algorithm is refused with its shape, and so is its preparation", async () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    matmul({ a, b: a, out, ...square })
    const words = ["2 x 2 by 2 x 1 in float32 to float32", "b transposed", "with gelu"]
    double.fail("cublasLtMatmulAlgoGetHeuristic", 1, notSupported)
    const product = { m: 2, n: 1, k: 2, transposeB: true, activation: "gelu" } as const
    refused(() => matmul({ a, b: a, out, ...product }), "AUX_DEVICE_UNAVAILABLE", ...words)
    double.fail("cublasLtMatmulAlgoGetHeuristic", 1, notSupported)
    await rejected(() => prepareMatmul(device, { dtype: "float32", ...product }), "AUX_DEVICE_UNAVAILABLE", ...words)
    assert.equal(double.alive().descriptions, DESCRIPTIONS)
  })

  test("8-bit products are refused where the device has none, before anything is queued", async () => {
    double.setAttribute(75, 8)
    double.setAttribute(76, 0)
    try {
      using device = openDevice("cuda:0")
      using a = device.zeros("float8_e4m3fn", 256)
      using out = device.zeros("float32", 256)
      const shape = { m: 16, n: 16, k: 16, transposeB: true }
      const words = ["compute capability 8.0", "8.9", "bfloat16"]
      refused(() => matmul({ a, b: a, out, ...shape }), "AUX_DEVICE_UNAVAILABLE", ...words)
      const prepared = { dtype: "float8_e4m3fn", ...shape } as const
      await rejected(() => prepareMatmul(device, prepared), "AUX_DEVICE_UNAVAILABLE", ...words)
      assert.equal(double.count("cublasLtMatmul"), double.count("cublasLtMatmul"))
    } finally {
      double.setAttribute(75, 9)
    }
  })

  test("a kernel's fault that a product meets first loses the device: it is no failure of cuBLAS'", async () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    matmul({ a, b: a, out, ...square })
    device.synchronize()
    launch(device.driver, device.defaultStream.state.handle, fault)
    deviceIsLost()
    let error: unknown
    await until(() => {
      try {
        matmul({ a, b: a, out, ...square })
      } catch (thrown) {
        error = thrown
      }
      return error !== undefined
    })
    assert.ok(error instanceof DeviceLostError, String(error))
    assert.match(error.message, /CUDA_ERROR_ILLEGAL_ADDRESS/)
  })

  test("a handle that cannot be destroyed causes a warning, and the rest is freed", async () => {
    {
      using device = openDevice("cuda:0")
      const { a, out } = arrays(device)
      matmul({ a, b: a, out, ...square })
      double.fail("cublasLtDestroy", 1, internalError)
    }
    await until(() => double.alive().contexts === 0)
    const [warning, ...others] = await takeWarnings()
    assert.match(warning?.message ?? "", /cublasLtDestroy failed with CUBLAS_STATUS_INTERNAL_ERROR/)
    assert.equal(others.length, 0)
    double.forgetLost()
  })

  test("without cuBLASLt, the error says what was searched and what to install", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    withEnvironment({ AUXSTREAM_LIBCUBLASLT: "/nowhere/libcublasLt.so" }, () => {
      refused(
        () => matmul({ a, b: a, out, ...square }),
        "AUX_DEVICE_UNAVAILABLE",
        "/nowhere/libcublasLt.so",
        "nvidia-cublas",
        "AUXSTREAM_LIBCUBLASLT",
      )
    })
    matmul({ a, b: a, out, ...square })
    assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
  })
})

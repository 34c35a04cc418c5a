/** Matrix products by cuBLAS: its handles, their streams and workspaces, and failures. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import { captureGraph, CudaError, type Device, DeviceLostError, openDevice, parallel } from "../../src/index.js"
import { withEnvironment } from "../support/environment.js"
import { refused } from "../support/errors.js"
import { deviceIsLost, fault, launch, onDouble, takeWarnings, thrownBy, until, untilGone } from "./device.js"
import { double } from "./double.js"

const square = { m: 2, n: 2, k: 2 }
/** CUBLAS_STATUS_INTERNAL_ERROR */
const internalError = 14

/** Two arrays on the device: the matrix 1 2 3 4, and one for its square. */
function arrays(device: Device) {
  return { a: device.from(Float32Array.of(1, 2, 3, 4)), out: device.zeros("float32", 4) }
}

/** Names of the calls of cuBLAS, with their arguments. */
function callsOf(fn: () => void): (string | number)[][] {
  return double.log(fn).filter(([name]) => String(name).startsWith("cublas"))
}

const namesOf = (calls: (string | number)[][]) => calls.map(([name]) => name)

onDouble("matrix products by cuBLAS", () => {
  test("a stream's first product makes a handle and binds it to the stream and a workspace; later ones are one call", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    const product = () => matmul({ a, b: a, out, ...square })
    const first = callsOf(product)
    assert.deepEqual(namesOf(first), [
      "cublasCreate_v2",
      "cublasSetStream_v2",
      "cublasSetMathMode",
      "cublasSetWorkspace_v2",
      "cublasGemmStridedBatchedEx",
    ])
    assert.equal(first[1]?.[2], device.defaultStream.state.handle)
    assert.deepEqual(namesOf(callsOf(product)), ["cublasGemmStridedBatchedEx"])
    assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
  })

  test("streams have a handle and a workspace each, of one size", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    const other = device.zeros("float32", 4)
    const calls = callsOf(() => {
      parallel([() => matmul({ a, b: a, out, ...square }), () => matmul({ a, b: a, out: other, ...square })])
    })
    const workspaces = calls.filter(([name]) => name === "cublasSetWorkspace_v2")
    assert.equal(workspaces.length, 2)
    const column = (index: number) => new Set(workspaces.map((call) => call[index]))
    assert.deepEqual([column(1).size, column(2).size, column(3).size], [2, 2, 1])
    assert.deepEqual(other.readSync(), out.readSync())
  })

  test("the handle of a destroyed stream serves the next one, with its own workspace", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    for (let i = 0; i < 5; i++) {
      using stream = device.createStream()
      stream.wait(device.defaultStream)
      stream.run(() => matmul({ a, b: a, out, ...square }))
      device.defaultStream.wait(stream)
    }
    assert.equal(double.alive().products, 1)
    assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
  })

  test("in a capture, products become nodes, whose workspace the graph holds", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    matmul({ a, b: a, out, ...square })
    using graph = captureGraph(() => matmul({ a, b: a, out, ...square, beta: 1 }), { device })
    assert.equal(graph.nodeCount, 1)
    for (let i = 0; i < 3; i++) graph.launch()
    matmul({ a, b: a, out, ...square, beta: 1 })
    assert.deepEqual(out.readSync(), Float32Array.of(35, 50, 75, 110))
  })

  test("a failed call gives an error with cuBLAS' own name and the call, and leaves nothing behind", async () => {
    const symbols = [
      "cublasCreate_v2",
      "cublasSetStream_v2",
      "cublasSetMathMode",
      "cublasSetWorkspace_v2",
      "cublasGemmStridedBatchedEx",
    ]
    for (const symbol of symbols) {
      const name = symbol.replace("_v2", "")
      {
        using device = openDevice("cuda:0")
        const { a, out } = arrays(device)
        double.fail(symbol, 1, internalError)
        const error = thrownBy(() => matmul({ a, b: a, out, ...square }))
        assert.ok(error instanceof CudaError, String(error))
        assert.equal(error.message, `${name} failed with CUBLAS_STATUS_INTERNAL_ERROR`)
        assert.deepEqual(out.readSync(), new Float32Array(4))
        matmul({ a, b: a, out, ...square })
        assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
        assert.equal(double.alive().products, 1, name)
      }
      await untilGone()
    }
  })

  test("a kernel's fault that a product reports first loses the device, and is not blamed on cuBLAS", async () => {
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
      double.fail("cublasDestroy_v2", 1, internalError)
    }
    await until(() => double.alive().contexts === 0)
    const [warning, ...others] = await takeWarnings()
    assert.match(warning?.message ?? "", /cublasDestroy failed with CUBLAS_STATUS_INTERNAL_ERROR/)
    assert.equal(others.length, 0)
    double.forgetLost()
  })

  test("without cuBLAS, the error says what was searched and what to install", () => {
    using device = openDevice("cuda:0")
    const { a, out } = arrays(device)
    withEnvironment({ AUXSTREAM_LIBCUBLAS: "/nowhere/libcublas.so" }, () => {
      refused(
        () => matmul({ a, b: a, out, ...square }),
        "AUX_DEVICE_UNAVAILABLE",
        "/nowhere/libcublas.so",
        "nvidia-cublas",
        "AUXSTREAM_LIBCUBLAS",
      )
    })
    matmul({ a, b: a, out, ...square })
    assert.deepEqual(out.readSync(), Float32Array.of(7, 10, 15, 22))
  })
})

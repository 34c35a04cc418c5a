import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import type { ErrorCode } from "../../src/index.js"
import { forEachDevice, openOther } from "../support/devices.js"
import { refused, type Words } from "../support/errors.js"

forEachDevice("matmul refuses", (open, id) => {
  test("§8 bad input with a code and a message, before anything is queued", () => {
    using device = open()
    using other = openOther()
    using a = device.zeros("float32", 6)
    using b = device.zeros("float32", 12)
    using out = device.full("float32", 8, 5)
    const gone = device.zeros("float32", 12)
    gone.dispose()
    const goneStream = device.createStream()
    goneStream.dispose()
    const good = { a, b, out, m: 2, n: 4, k: 3 }
    const batch = { count: 1, strideA: 0, strideB: 0, strideOut: 8 }
    const halves = { a: device.zeros("float16", 6), b: device.zeros("float16", 12) }

    const table: readonly (readonly [given: object, code: ErrorCode, ...words: Words[]])[] = [
      [{ a: undefined }, "AUX_INVALID_ARGUMENT", "`a` must be", "got undefined", "device.from()"],
      [{ b: new Float32Array(12) }, "AUX_INVALID_ARGUMENT", "`b` must be a DeviceArray; got a Float32Array"],
      [{ out: null }, "AUX_INVALID_ARGUMENT", "`out` must be", "got null"],
      [
        { a: device.pinned("float32", 6) },
        "AUX_INVALID_ARGUMENT",
        "`a` must be a DeviceArray; got an object of class PinnedArray",
      ],
      [{ b: gone }, "AUX_DISPOSED", "12 elements"],
      [{ a: device.zeros("int32", 6) }, "AUX_DTYPE_MISMATCH", "`a`", "bfloat16", "got one of int32"],
      [{ out: device.zeros("float64", 8) }, "AUX_DTYPE_MISMATCH", "`out`", "got one of float64"],
      [{ a: halves.a }, "AUX_DTYPE_MISMATCH", "got float16, float32 and float32"],
      [{ ...halves, out: device.zeros("bfloat16", 8) }, "AUX_DTYPE_MISMATCH", "got float16, float16 and bfloat16"],
      [{ out: device.zeros("float16", 8) }, "AUX_DTYPE_MISMATCH", "got float32, float32 and float16"],
      [{ b: other.zeros("float32", 12) }, "AUX_DEVICE_MISMATCH", `got ${id}, cuda:99 and ${id}`],
      [{ out: other.zeros("float32", 8) }, "AUX_DEVICE_MISMATCH", `got ${id}, ${id} and cuda:99`],
      [{ m: -1 }, "AUX_OUT_OF_RANGE", "`m` must be", "got -1"],
      [{ n: 1.5 }, "AUX_OUT_OF_RANGE", "`n` must be", "got 1.5"],
      [{ k: "3" }, "AUX_OUT_OF_RANGE", "`k` must be", "got '3'"],
      [{ k: NaN }, "AUX_OUT_OF_RANGE", "`k` must be", "got NaN"],
      [{ m: 2 ** 31 }, "AUX_OUT_OF_RANGE", "`m` must be", "got 2147483648"],
      [{ transposeA: 1 }, "AUX_INVALID_ARGUMENT", "`transposeA` must be", "got 1"],
      [{ transposeB: null }, "AUX_INVALID_ARGUMENT", "`transposeB` must be", "got null"],
      [{ alpha: "2" }, "AUX_INVALID_ARGUMENT", "`alpha` must be", "got '2'"],
      [{ beta: 1n }, "AUX_INVALID_ARGUMENT", "`beta` must be", "got 1n"],
      [{ m: 3 }, "AUX_LENGTH_MISMATCH", "`a` must have at least 9 elements for a matrix of 3 × 3; got 6"],
      [{ n: 5 }, "AUX_LENGTH_MISMATCH", "`b` must have at least 15 elements", "got 12"],
      [{ out: out.subarray(1) }, "AUX_LENGTH_MISMATCH", "`out` must have at least 8 elements", "got 7"],
      [{ m: 2 ** 31 - 1, n: 2 ** 31 - 1, k: 2 ** 31 - 1 }, "AUX_LENGTH_MISMATCH", "`a`", "got 6"],
      [{ batch: 2 }, "AUX_INVALID_ARGUMENT", "`batch` must be an object or undefined; got 2"],
      [{ batch: { ...batch, count: -1 } }, "AUX_OUT_OF_RANGE", "`batch.count` must be", "got -1"],
      [{ batch: { ...batch, strideA: 0.5 } }, "AUX_OUT_OF_RANGE", "`batch.strideA` must be", "got 0.5"],
      [{ batch: { count: 2 } }, "AUX_OUT_OF_RANGE", "`batch.strideA` must be", "got undefined"],
      [
        { batch: { ...batch, count: 2, strideOut: 7 } },
        "AUX_OUT_OF_RANGE",
        "`batch.strideOut` must be at least m · n = 8",
        "got 7",
      ],
      [
        { batch: { ...batch, count: 2 } },
        "AUX_LENGTH_MISMATCH",
        "`out` must have at least 16 elements for 2 matrices",
        "got 8",
      ],
      [
        { batch: { ...batch, count: 2, strideB: 1 } },
        "AUX_LENGTH_MISMATCH",
        "`b` must have at least 13 elements",
        "got 12",
      ],
      [{ batch: { ...batch, count: 3, strideA: 2 ** 40 } }, "AUX_LENGTH_MISMATCH", "`a`", "got 6"],
      [
        { a: b, b: b.subarray(0, 12), out: b.subarray(4) },
        "AUX_INVALID_ARGUMENT",
        "`out` must not share memory with `a`",
      ],
      [
        { b: device.wrap(out.address - 16, "float32", 12) },
        "AUX_INVALID_ARGUMENT",
        "`out` must not share memory with `b`",
      ],
      [{ stream: 7n }, "AUX_INVALID_ARGUMENT", "`stream` must be", "got 7n"],
      [{ stream: goneStream }, "AUX_DISPOSED", "createStream()"],
      [{ stream: other.defaultStream }, "AUX_DEVICE_MISMATCH", "got one of cuda:99"],
    ]
    for (const [given, code, ...words] of table) {
      refused(() => matmul({ ...good, ...given }), code, ...words)
    }
    refused(() => Reflect.apply(matmul, undefined, []), "AUX_INVALID_ARGUMENT", "`options` must be", "got undefined")
    refused(() => Reflect.apply(matmul, undefined, [null]), "AUX_INVALID_ARGUMENT", "`options` must be", "got null")
    assert.deepEqual(out.readSync(), new Float32Array(8).fill(5))
  })

  test("§4 but accepts adjacent parts of one array, equal inputs, and empty products", () => {
    using device = open()
    using all = device.from(Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0, 9))
    const a = all.subarray(0, 4)
    const out = all.subarray(4, 8)
    matmul({ a, b: a, out, m: 2, n: 2, k: 2 })
    assert.deepEqual(all.readSync(), Float32Array.of(1, 2, 3, 4, 7, 10, 15, 22, 9))
    matmul({ a, b: a, out: a, m: 0, n: 2, k: 2 })
    matmul({ a, b: a, out: a, m: 2, n: 0, k: 2 })
    matmul({ a, b: a, out: a, m: 9, n: 9, k: 9, batch: { count: 0, strideA: 0, strideB: 0, strideOut: 0 } })
    matmul({ a, b: a, out: a, m: 2, n: 2, k: 0, beta: 1 })
    using none = device.empty("float32", 0)
    matmul({ a: none, b: none, out, m: 2, n: 2, k: 0, beta: 2 })
    assert.deepEqual(all.readSync(), Float32Array.of(1, 2, 3, 4, 14, 20, 30, 44, 9))
  })
})

import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul, matmulGrouped, prepareMatmul } from "../../src/blas/index.js"
import { type ErrorCode, toFloat32 } from "../../src/index.js"
import { forEachDevice, openOther } from "../support/devices.js"
import { refused, rejected, type Words } from "../support/errors.js"

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
      [{ out: device.zeros("float64", 8) }, "AUX_DTYPE_MISMATCH", "`out`", "got float32, float32 and float64"],
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
        "`batch.strideOut` must be at least 8",
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

  test("§11 bad options of epilogues, row lengths and 8-bit products", () => {
    using device = open()
    using other = openOther()
    using a = device.zeros("float32", 6)
    using b = device.zeros("float32", 12)
    using out = device.full("float32", 8, 5)
    const good = { a, b, out, m: 2, n: 4, k: 3 }
    const gone = device.zeros("float32", 4)
    gone.dispose()
    const scale = device.zeros("float32", 1)
    const table: readonly (readonly [given: object, code: ErrorCode, ...words: Words[]])[] = [
      [
        { activation: "silu" },
        "AUX_INVALID_ARGUMENT",
        '`activation` must be "relu", "gelu" or undefined; got \'silu\'',
      ],
      [{ activation: null }, "AUX_INVALID_ARGUMENT", "`activation`", "got null"],
      [{ bias: new Float32Array(4) }, "AUX_INVALID_ARGUMENT", "`bias` must be a DeviceArray"],
      [{ bias: gone }, "AUX_DISPOSED", "4 elements"],
      [{ bias: device.zeros("float16", 4) }, "AUX_DTYPE_MISMATCH", "`bias` must be an array of float32", "float16"],
      [{ bias: other.zeros("float32", 4) }, "AUX_DEVICE_MISMATCH", "`bias`", id, "cuda:99"],
      [{ bias: device.zeros("float32", 3) }, "AUX_LENGTH_MISMATCH", "`bias` must have at least 4 elements; got 3"],
      [{ bias: out.subarray(4) }, "AUX_INVALID_ARGUMENT", "`out` must not share memory with `bias`"],
      [{ scaleA: scale }, "AUX_INVALID_ARGUMENT", "`scaleA`", "float8_e4m3fn", "of float32", "alpha"],
      [{ scaleB: scale }, "AUX_INVALID_ARGUMENT", "`scaleB`"],
      [{ ldA: 2 }, "AUX_OUT_OF_RANGE", "`ldA` must be an integer from 3", "got 2"],
      [{ ldB: 3.5 }, "AUX_OUT_OF_RANGE", "`ldB`", "got 3.5"],
      [{ ldOut: 3 }, "AUX_OUT_OF_RANGE", "`ldOut` must be an integer from 4", "got 3"],
      [{ ldA: 4 }, "AUX_LENGTH_MISMATCH", "`a` must have at least 7 elements", "2 × 3, 4 elements from row to row"],
      [{ transposeA: true, ldA: 3 }, "AUX_LENGTH_MISMATCH", "`a` must have at least 8 elements", "3 × 2"],
      [{ ldB: 5 }, "AUX_LENGTH_MISMATCH", "`b` must have at least 14 elements", "5 elements from row to row"],
      [{ ldOut: 5 }, "AUX_LENGTH_MISMATCH", "`out` must have at least 9 elements", "5 elements from row to row"],
      [{ lda: 3 }, "AUX_INVALID_ARGUMENT", "`options` must have only these names", "ldA", "got 'lda'"],
    ]
    for (const [given, code, ...words] of table) refused(() => matmul({ ...good, ...given }), code, ...words)
    assert.deepEqual(out.readSync(), new Float32Array(8).fill(5))

    using eight = device.zeros("float8_e4m3fn", 2048)
    using right = device.zeros("float8_e4m3fn", 2048)
    using wide = device.full("bfloat16", 2048, 5)
    using float = device.zeros("float32", 2048)
    const float8 = { a: eight, b: right, out: wide, m: 16, n: 32, k: 32, transposeB: true }
    const table8: readonly (readonly [given: object, code: ErrorCode, ...words: Words[]])[] = [
      [{ transposeB: false }, "AUX_INVALID_ARGUMENT", "`transposeB` must be true", "float8_e4m3fn", "got false"],
      [{ transposeA: true }, "AUX_INVALID_ARGUMENT", "`transposeA` false", "got true and true"],
      [{ n: 24 }, "AUX_OUT_OF_RANGE", "`n` must be a multiple of 16", "got 24"],
      [{ k: 8 }, "AUX_OUT_OF_RANGE", "`k` must be a multiple of 16", "got 8"],
      [{ ldA: 40 }, "AUX_OUT_OF_RANGE", "`ldA` must be a multiple of 16", "got 40"],
      [{ ldB: 40 }, "AUX_OUT_OF_RANGE", "`ldB` must be a multiple of 16", "got 40"],
      [{ ldOut: 36 }, "AUX_OUT_OF_RANGE", "`ldOut` must be a multiple of 8", "got 36"],
      [{ a: eight.subarray(8) }, "AUX_OUT_OF_RANGE", "`a` must begin at a multiple of 16 bytes", "8 bytes after one"],
      [{ b: right.subarray(1) }, "AUX_OUT_OF_RANGE", "`b` must begin", "1 bytes after one"],
      [{ out: wide.subarray(4) }, "AUX_OUT_OF_RANGE", "`out` must begin", "8 bytes after one"],
      [{ out: eight }, "AUX_DTYPE_MISMATCH", "float32, float16 or bfloat16", "got float8_e4m3fn"],
      [{ b: wide }, "AUX_DTYPE_MISMATCH", "must have the same dtype"],
      [{ bias: float }, "AUX_DTYPE_MISMATCH", "`bias` must be an array of bfloat16"],
      [{ out: float, bias: float }, "AUX_DTYPE_MISMATCH", "`bias` must be an array of bfloat16"],
      [{ scaleA: wide }, "AUX_DTYPE_MISMATCH", "`scaleA` must be an array of float32"],
      [{ scaleB: device.zeros("float32", 0) }, "AUX_LENGTH_MISMATCH", "`scaleB` must have at least 1 elements; got 0"],
    ]
    for (const [given, code, ...words] of table8) refused(() => matmul({ ...float8, ...given }), code, ...words)
    assert.deepEqual(toFloat32(wide.readSync(), "bfloat16"), new Float32Array(2048).fill(5))
  })

  test("§11 bad groups, before anything is queued; the message names the product", () => {
    using device = open()
    using other = openOther()
    using a = device.zeros("float32", 4)
    using out = device.full("float32", 8, 5)
    const square = { m: 2, n: 2, k: 2 }
    const [left, right] = [out.subarray(0, 4), out.subarray(4)]
    const good = [
      { a, b: a, out: left, ...square },
      { a, b: a, out: right, ...square },
    ]
    const group = (...args: unknown[]) => void Reflect.apply(matmulGrouped, undefined, args)
    const [first, second] = good
    refused(() => group(), "AUX_INVALID_ARGUMENT", "`products` must be an array of products; got undefined")
    refused(() => group([first, 5]), "AUX_INVALID_ARGUMENT", "products[1]", "got 5")
    const holes: unknown[] = [first]
    holes[2] = second
    refused(() => group(holes), "AUX_INVALID_ARGUMENT", "products[1]", "got undefined")
    refused(() => group(good, 5), "AUX_INVALID_ARGUMENT", "options")
    refused(() => group(good, { streams: 1 }), "AUX_INVALID_ARGUMENT", "got 'streams'")
    refused(() => group(good, { stream: 7 }), "AUX_INVALID_ARGUMENT", "`stream` must be a Stream")
    refused(() => group(good, { stream: other.defaultStream }), "AUX_DEVICE_MISMATCH", "cuda:99")
    refused(
      () => group([first, { ...second, stream: device.defaultStream }]),
      "AUX_INVALID_ARGUMENT",
      "products[1]",
      "`stream`",
    )
    refused(() => group([first, { ...second, m: 3 }]), "AUX_LENGTH_MISMATCH", "products[1]", "`a` must have at least 6")
    const elsewhere = other.zeros("float32", 4)
    const foreign = { ...square, a: elsewhere, b: elsewhere, out: other.zeros("float32", 4) }
    refused(() => group([first, foreign]), "AUX_DEVICE_MISMATCH", "one device", id, "cuda:99")
    const shared = (...words: Words[]) => [...words, "must not share memory", "Use other arrays, or two calls"]
    refused(() => group([first, first]), "AUX_INVALID_ARGUMENT", ...shared("products[0]", "products[1]", "`out`"))
    refused(
      () => group([{ ...second, out: out.subarray(2) }, first]),
      "AUX_INVALID_ARGUMENT",
      ...shared("products[0]", "products[1]", "`out`"),
    )
    refused(
      () => group([first, { ...second, b: left }]),
      "AUX_INVALID_ARGUMENT",
      ...shared("`out` of products[0]", "`b` of products[1]"),
    )
    refused(
      () => group([{ ...first, bias: right }, second]),
      "AUX_INVALID_ARGUMENT",
      ...shared("`out` of products[1]", "`bias` of products[0]"),
    )
    assert.deepEqual(out.readSync(), new Float32Array(8).fill(5))
    matmulGrouped([])
    matmulGrouped(good)
    matmulGrouped(good, { stream: device.defaultStream })
    assert.deepEqual(out.readSync(), new Float32Array(8))
  })

  test("§11 bad preparations", async () => {
    using device = open()
    const good = { dtype: "float32", m: 2, n: 4, k: 3 }
    const prepare = (...args: unknown[]) => Reflect.apply(prepareMatmul, undefined, args) as Promise<void>
    const table: readonly (readonly [given: object, code: ErrorCode, ...words: Words[]])[] = [
      [{ dtype: "int32" }, "AUX_INVALID_ARGUMENT", "`dtype`", "float8_e4m3fn", "got 'int32'"],
      [{ dtype: 5 }, "AUX_INVALID_ARGUMENT", "`dtype`", "got 5"],
      [{ outDtype: "float16" }, "AUX_DTYPE_MISMATCH", "`outDtype`", "float32", "got float16"],
      [{ m: -1 }, "AUX_OUT_OF_RANGE", "`m`"],
      [{ ldA: 1 }, "AUX_OUT_OF_RANGE", "`ldA`"],
      [{ bias: 1 }, "AUX_INVALID_ARGUMENT", "`bias` must be true or false; got 1"],
      [{ beta: "1" }, "AUX_INVALID_ARGUMENT", "`beta` must be a number"],
      [{ activation: "tanh" }, "AUX_INVALID_ARGUMENT", "`activation`"],
      [{ alignment: 6 }, "AUX_OUT_OF_RANGE", "`alignment` must be a power of two; got 6"],
      [{ alignment: 512 }, "AUX_OUT_OF_RANGE", "`alignment`", "256"],
      [{ alignment: 2 }, "AUX_OUT_OF_RANGE", "`alignment`", "from 4", "got 2"],
      [{ dtype: "bfloat16", outDtype: "float32", alignment: 2 }, "AUX_OUT_OF_RANGE", "`alignment`", "from 4"],
      [{ dtype: "bfloat16", alignment: 1 }, "AUX_OUT_OF_RANGE", "`alignment`", "from 2"],
      [{ alpha: 2 }, "AUX_INVALID_ARGUMENT", "only these names", "got 'alpha'"],
      [{ dtype: "float8_e4m3fn" }, "AUX_INVALID_ARGUMENT", "`transposeB` must be true"],
      [{ dtype: "float8_e4m3fn", transposeB: true }, "AUX_OUT_OF_RANGE", "`n` must be a multiple of 16"],
    ]
    for (const [given, code, ...words] of table)
      await rejected(() => prepare(device, { ...good, ...given }), code, ...words)
    await rejected(() => prepare(5, good), "AUX_INVALID_ARGUMENT", "`device` must be a Device; got 5")
    await rejected(() => prepare(device), "AUX_INVALID_ARGUMENT", "`shape`", "got undefined")
    await prepare(device, good)
    await prepare(device, { ...good, m: 0 })
    await prepare(device, {
      dtype: "float8_e4m3fn",
      m: 1,
      n: 16,
      k: 16,
      transposeB: true,
      bias: true,
      activation: "gelu",
    })
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

import assert from "node:assert/strict"
import { test } from "node:test"
import type { DType, TypedArray } from "../../../src/index.js"
import { checkDType, checkScalar, dtypeOf, dtypes, elementsOf, isDType } from "../../../src/common/dtype/elements.js"
import { bytesOf } from "../../../src/common/typed-array.js"
import { refused } from "../../support/errors.js"

/** For each dtype: its size, its class, scalars that it accepts and scalars that it refuses. */
const expected: {
  readonly [D in DType]: {
    size: number
    type: new (length: number) => TypedArray
    takes: unknown[]
    refuses: unknown[]
  }
} = {
  float16: { size: 2, type: Uint16Array, takes: [0, -0, 1.5, 1e30, NaN, Infinity], refuses: ["1", 1n, null] },
  bfloat16: { size: 2, type: Uint16Array, takes: [0, 1.5, -3e38, NaN, -Infinity], refuses: ["1", 1n, undefined] },
  float32: { size: 4, type: Float32Array, takes: [0, 0.1, 1e300, NaN], refuses: ["1", 1n, true] },
  float64: { size: 8, type: Float64Array, takes: [0, 0.1, -1e300, NaN], refuses: ["1", 1n, {}] },
  float8_e4m3fn: { size: 1, type: Uint8Array, takes: [0, -0, 1.5, 1e30, NaN, Infinity], refuses: ["1", 1n, null] },
  int8: { size: 1, type: Int8Array, takes: [-128, 0, 127], refuses: [-129, 128, 0.5, NaN, 1n, "1"] },
  uint8: { size: 1, type: Uint8Array, takes: [0, 255], refuses: [-1, 256, 0.5, NaN, 1n, "1"] },
  int16: { size: 2, type: Int16Array, takes: [-32768, 32767], refuses: [-32769, 32768, 0.5, Infinity, 1n] },
  uint16: { size: 2, type: Uint16Array, takes: [0, 65535], refuses: [-1, 65536, 0.5, -Infinity, 1n] },
  int32: { size: 4, type: Int32Array, takes: [-(2 ** 31), 2 ** 31 - 1], refuses: [2 ** 31, -(2 ** 31) - 1, 0.5, 1n] },
  uint32: { size: 4, type: Uint32Array, takes: [0, 2 ** 32 - 1], refuses: [-1, 2 ** 32, 0.5, 1n] },
  int64: {
    ...{ size: 8, type: BigInt64Array, takes: [-(2n ** 63n), 2n ** 63n - 1n, 5, -5, 2 ** 53 - 1] },
    refuses: [2n ** 63n, -(2n ** 63n) - 1n, 2 ** 53, 0.5, NaN, "1"],
  },
  uint64: {
    ...{ size: 8, type: BigUint64Array, takes: [0n, 2n ** 64n - 1n, 5, 2 ** 53 - 1] },
    refuses: [-1n, 2n ** 64n, -1, 2 ** 53, 0.5, NaN],
  },
}

test("§4 dtypes: the twelve, and nothing that objects have by nature", () => {
  assert.deepEqual([...dtypes].sort(), Object.keys(expected).sort())
  for (const name of ["float8", "toString", "__proto__", "constructor", "", "FLOAT32", 4, null, undefined, {}]) {
    assert.equal(isDType(name), false)
    refused(() => checkDType(name), "AUX_INVALID_ARGUMENT", "dtype", "float16")
  }
})

/** Dtypes kept as bit patterns, in another dtype's typed array. */
const isNarrow = (dtype: DType) => dtype === "float16" || dtype === "bfloat16" || dtype === "float8_e4m3fn"

for (const dtype of dtypes.filter(isDType)) {
  const { size, type, takes, refuses } = expected[dtype]

  test(`§4 ${dtype}: size and typed array`, () => {
    const elements = elementsOf(dtype)
    assert.equal(elements.byteLength, size)
    const made = elements.create(3)
    assert.ok(made instanceof type)
    assert.equal(made.byteLength, 3 * size)
    const view = elements.view(new SharedArrayBuffer(64), 8, 2)
    assert.ok(view instanceof type)
    assert.equal(view.byteOffset, 8)
    assert.equal(view.length, 2)
    assert.equal(elements.holds(made), true)
    for (const other of [new DataView(new ArrayBuffer(8)), [1], null, new Uint8ClampedArray(2), "x"]) {
      assert.equal(elements.holds(other), false)
    }
  })

  test(`§4 ${dtype}: accepts and refuses scalars by value`, () => {
    for (const value of takes) {
      checkScalar(dtype, value, "value")
      assert.equal(elementsOf(dtype).encode(value).byteLength, size)
    }
    for (const value of refuses) {
      const shown = typeof value === "bigint" ? `${value}n` : typeof value === "string" ? `'${value}'` : undefined
      refused(
        () => checkScalar(dtype, value, "the number"),
        "AUX_INVALID_ARGUMENT",
        "the number must be",
        dtype,
        shown ?? dtype,
      )
    }
  })

  test(`§4 ${dtype}: an element's bytes are those of its typed array`, () => {
    for (const value of takes) {
      checkScalar(dtype, value, "value")
      if (isNarrow(dtype)) continue // Bit patterns have a separate test.
      const array = elementsOf(dtype).create(1)
      if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[0] = BigInt(value)
      else array[0] = Number(value)
      assert.deepEqual(elementsOf(dtype).encode(value), bytesOf(array))
    }
  })
}

test("§4 from: the dtype of a typed array", () => {
  for (const dtype of dtypes.filter(isDType)) {
    if (isNarrow(dtype)) continue
    assert.equal(dtypeOf(elementsOf(dtype).create(1)), dtype)
  }
  assert.equal(dtypeOf(Buffer.alloc(2)), "uint8")
  for (const other of [new DataView(new ArrayBuffer(8)), new Uint8ClampedArray(1), [1], null, undefined, "x", 1]) {
    assert.equal(dtypeOf(other), undefined)
  }
})

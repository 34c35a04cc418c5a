import assert from "node:assert/strict"
import { test } from "node:test"
import { fromFloat32, toFloat32 } from "../../src/index.js"
import { forEachDevice } from "../support/devices.js"
import { download, upload, waysOn } from "./cases.js"

const types = ["float16", "bfloat16"] as const
const everyPattern = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)

/** The place of the tested row among zeros. Each shape uses another path of the conversion. */
const shapes = [
  { way: "one by one", m: 1, k: 1, transposeB: false },
  { way: "four rows at a time", m: 1, k: 4, transposeB: false },
  { way: "dot products", m: 1, k: 4, transposeB: true },
  { way: "packed along the columns", m: 9, k: 1, transposeB: false },
  { way: "packed along the depth", m: 9, k: 4, transposeB: true },
]

forEachDevice("matmul, 16-bit types", (open, id) => {
  for (const [name, multiply] of waysOn(id)) {
    for (const dtype of types) {
      for (const { way, m, k, transposeB } of shapes) {
        test(`§4 each of the 65 536 ${dtype} patterns is read exactly, ${way}: ${name}`, () => {
          using device = open()
          const n = everyPattern.length
          const matrix = new Uint16Array(k * n)
          for (const bits of everyPattern) matrix[transposeB ? bits * k : bits] = bits
          const row = Float32Array.from({ length: m * k }, (_, i) => (i % k === 0 ? 1 : 0))
          using a = upload(device, row, dtype)
          using b = device.from(matrix, dtype)
          using out = device.empty("float32", m * n)
          multiply({ a, b, out, m, n, k, transposeB })
          const expected = toFloat32(everyPattern, dtype)
          const actual = out.readSync()
          for (let i = 0; i < m; i++) same(actual.subarray(i * n, (i + 1) * n), expected)
        })
      }

      test(`§4 results are rounded to ${dtype} to nearest, ties to even, over the whole range: ${name}`, () => {
        using device = open()
        using one = upload(device, Float32Array.of(1), dtype)
        using b = device.from(everyPattern, dtype)
        using out = device.empty(dtype, everyPattern.length)
        const numbers = toFloat32(everyPattern, dtype)
        // Odd multiples of powers of two make ties; small and large ones reach subnormals and overflow.
        for (const alpha of [
          1,
          1.5,
          0.75,
          1 + 2 ** -8,
          1 + 2 ** -11,
          2 ** -1,
          3 * 2 ** -12,
          2 ** -14,
          2 ** -24,
          5,
          2 ** 15,
          -1,
        ]) {
          multiply({ a: one, b, out, m: 1, n: everyPattern.length, k: 1, alpha })
          const expected = fromFloat32(
            numbers.map((value) => Math.fround(value * alpha)),
            dtype,
          )
          same(download(out), toFloat32(expected, dtype))
        }
      })

      test(`§4 beta reads every ${dtype} pattern of out exactly: ${name}`, () => {
        using device = open()
        using zero = upload(device, Float32Array.of(0), dtype)
        using b = upload(device, new Float32Array(everyPattern.length), dtype)
        using out = device.from(everyPattern, dtype)
        multiply({ a: zero, b, out, m: 1, n: everyPattern.length, k: 1, beta: 1 })
        same(download(out), toFloat32(everyPattern, dtype))
      })
    }
  }
})

/** Compares number by number; NaN equals NaN. A sum of zeros may lose the sign of a zero. */
function same(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length)
  for (const [i, value] of expected.entries()) {
    if (Object.is(actual[i], value) || (value === 0 && actual[i] === 0)) continue
    assert.fail(`element ${i} is ${actual[i]}, not ${value}`)
  }
}

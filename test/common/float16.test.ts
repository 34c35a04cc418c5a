import assert from "node:assert/strict"
import { test } from "node:test"
import { type Float16DType, fromFloat32, toFloat32 } from "../../src/index.js"
import { numbersFrom } from "../support/random.js"

const words = new DataView(new ArrayBuffer(4))

function float32Of(bits: number): number {
  words.setUint32(0, bits)
  return words.getFloat32(0)
}

function bitsOf(value: number): number {
  words.setFloat32(0, value)
  return words.getUint32(0)
}

/** Conversion by the standard, implemented differently from the code: it builds the float32's fields bit by bit. */
const widen: { readonly [D in Float16DType]: (bits: number) => number } = {
  bfloat16: (bits) => float32Of((bits << 16) >>> 0),
  float16: (bits) => {
    const sign = (bits >>> 15) << 31
    let exponent = (bits >>> 10) & 0x1f
    let fraction = bits & 0x3ff
    if (exponent === 0x1f) return float32Of((sign | 0x7f800000 | (fraction << 13)) >>> 0)
    if (exponent === 0 && fraction === 0) return float32Of(sign >>> 0)
    if (exponent === 0) {
      exponent = 1
      for (; (fraction & 0x400) === 0; exponent--) fraction <<= 1
    }
    return float32Of((sign | ((exponent + 112) << 23) | ((fraction & 0x3ff) << 13)) >>> 0)
  },
}

const doubles = new DataView(new ArrayBuffer(8))

/** The float64 next to a positive one. */
function neighbour(value: number, step: 1n | -1n): number {
  doubles.setFloat64(0, value)
  doubles.setBigUint64(0, doubles.getBigUint64(0) + step)
  return doubles.getFloat64(0)
}

const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
const largest: { readonly [D in Float16DType]: number } = { float16: 0x7bff, bfloat16: 0x7f7f }

for (const dtype of ["float16", "bfloat16"] as const) {
  test(`§4 toFloat32: all 65536 patterns of ${dtype}`, () => {
    const values = toFloat32(all, dtype)
    for (const bits of all) assert.ok(Object.is(values[bits], widen[dtype](bits)), `pattern 0x${bits.toString(16)}`)
  })

  test(`§4 fromFloat32: all 65536 patterns of ${dtype} round-trip, with one pattern for NaN`, () => {
    const back = fromFloat32(toFloat32(all, dtype), dtype)
    for (const bits of all) {
      const value = widen[dtype](bits)
      if (Number.isNaN(value)) assert.ok(Number.isNaN(widen[dtype](back[bits] ?? 0)))
      else assert.equal(back[bits], bits)
    }
  })

  test(`§4 fromFloat32: gives the nearer of two ${dtype} neighbours, and the even one in the middle`, () => {
    for (let bits = 0; bits < largest[dtype]; bits++) {
      const [below, above] = [widen[dtype](bits), widen[dtype](bits + 1)]
      const middle = (below + above) / 2
      assert.equal(Math.fround(middle), middle)
      const justBelow = float32Of(bitsOf(middle) - 1)
      const justAbove = float32Of(bitsOf(middle) + 1)
      const even = bits % 2 === 0 ? bits : bits + 1
      const given = [below, justBelow, middle, justAbove, above]
      const expected = [bits, bits, even, bits + 1, bits + 1]
      assert.deepEqual([...fromFloat32(given, dtype)], expected)
      assert.deepEqual(
        [
          ...fromFloat32(
            given.map((value) => -value),
            dtype,
          ),
        ],
        expected.map((one) => one | 0x8000),
      )
    }
  })

  test(`§4 fromFloat32: numbers too large for ${dtype} become infinity, from the middle to the next power on`, () => {
    const most = widen[dtype](largest[dtype])
    const step = most - widen[dtype](largest[dtype] - 1)
    const edge = most + step / 2
    const infinity = largest[dtype] + 1
    assert.deepEqual(
      [...fromFloat32([most, float32Of(bitsOf(edge) - 1), edge], dtype)],
      [largest[dtype], largest[dtype], infinity],
    )
    assert.deepEqual([...fromFloat32([Infinity, 3.4e38, -Infinity], dtype)], [infinity, infinity, infinity | 0x8000])
  })

  test(`§4 fromFloat32: the smallest numbers of ${dtype}, and numbers nearer to zero`, () => {
    const least = widen[dtype](1)
    const half = least / 2
    assert.deepEqual(
      [...fromFloat32([least, half, float32Of(bitsOf(half) + 1), 0, -0, -half], dtype)],
      [...[1, 0, 1, 0, 0x8000, 0x8000]],
    )
  })
}

/**
 * The nearest value, found among all values of the type: for each value, the least number that is not rounded to a smaller
 * one. The middle of two neighbours is exact in float64, so every comparison is exact.
 */
function nearest(value: number, edges: readonly { readonly from: number; readonly included: boolean }[]): number {
  const magnitude = Math.abs(value)
  let [low, high] = [0, edges.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const edge = edges[middle]
    if (edge !== undefined && (magnitude > edge.from || (magnitude === edge.from && edge.included))) low = middle
    else high = middle
  }
  return (value < 0 || Object.is(value, -0) ? 0x8000 : 0) | low
}

for (const dtype of ["float16", "bfloat16"] as const) {
  const magnitudes = Array.from({ length: largest[dtype] + 1 }, (_, bits) => widen[dtype](bits))
  const step = (magnitudes.at(-1) ?? 0) - (magnitudes.at(-2) ?? 0)
  const ends = [...magnitudes, (magnitudes.at(-1) ?? 0) + step]
  const edges = ends.map((value, bits) => ({
    from: bits === 0 ? 0 : (value + (ends[bits - 1] ?? 0)) / 2,
    included: bits % 2 === 0,
  }))

  test(`§4 fromFloat32: rounds float64 to ${dtype} once: numbers so near to a tie that float32 would make one`, () => {
    for (const [bits, { from }] of edges.entries()) {
      if (bits === 0) continue
      const given = [neighbour(from, -1n), from, neighbour(from, 1n)]
      const expected = [bits - 1, bits % 2 === 0 ? bits : bits - 1, bits]
      assert.deepEqual(
        [...fromFloat32([...given, ...given.map((value) => -value)], dtype)],
        [...expected, ...expected.map((one) => one | 0x8000)],
      )
    }
  })

  test(`§4 fromFloat32: rounds a million random float64 to the nearest ${dtype}`, () => {
    const random = numbersFrom(16)
    const given = Float64Array.from({ length: 1_000_000 }, (_, index) => {
      doubles.setUint32(0, random(2 ** 32))
      doubles.setUint32(4, random(2 ** 32))
      const any = doubles.getFloat64(0)
      if (index % 2 === 0) return any
      // Every other one within the type's range, with a random exponent.
      const exponent = random(dtype === "float16" ? 45 : 265) - (dtype === "float16" ? 27 : 136)
      return (1 + random(2 ** 32) / 2 ** 32 + random(2 ** 20) / 2 ** 52) * 2 ** exponent * (index % 4 === 1 ? 1 : -1)
    })
    const actual = fromFloat32(given, dtype)
    for (const [index, value] of given.entries()) {
      const bits = actual[index] ?? 0
      if (Number.isNaN(value)) assert.ok(Number.isNaN(widen[dtype](bits)))
      else if (bits !== nearest(value, edges)) assert.fail(`${value} becomes 0x${bits.toString(16)}`)
    }
  })
}

test("§4 fromFloat32: takes any list of numbers, and returns a new Uint16Array", () => {
  const source = [1, 2]
  const result = fromFloat32(source, "float16")
  assert.ok(result instanceof Uint16Array)
  assert.equal(result.length, 2)
  assert.deepEqual(fromFloat32([], "bfloat16"), new Uint16Array(0))
  assert.deepEqual(toFloat32(new Uint16Array(0), "float16"), new Float32Array(0))
})

test("§4 toFloat32, fromFloat32: all 256 patterns of float8_e4m3fn, as its definition says", () => {
  const patterns = Uint8Array.from({ length: 256 }, (_, bits) => bits)
  const values = toFloat32(patterns, "float8_e4m3fn")
  for (const bits of patterns) {
    const [sign, exponent, fraction] = [bits >> 7 ? -1 : 1, (bits >> 3) & 15, bits & 7]
    const magnitude = exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7)
    const expected = exponent === 15 && fraction === 7 ? NaN : sign * magnitude
    assert.ok(Object.is(values[bits], expected), `pattern 0x${bits.toString(16)} is ${values[bits]}`)
  }
  const back = fromFloat32(values, "float8_e4m3fn")
  for (const bits of patterns) assert.equal(back[bits], (bits & 0x7f) === 0x7f ? 0x7f : bits)
})

test("§4 fromFloat32: to the nearest float8_e4m3fn, in the middle to the even one, beyond 448 to NaN", () => {
  const patterns = Uint8Array.from({ length: 0x7f }, (_, bits) => bits)
  const values = toFloat32(patterns, "float8_e4m3fn")
  for (let bits = 0; bits < 0x7e; bits++) {
    const middle = ((values[bits] ?? 0) + (values[bits + 1] ?? 0)) / 2
    const given = [neighbour(middle, -1n), middle, neighbour(middle, 1n)]
    const expected = [bits, bits % 2 === 0 ? bits : bits + 1, bits + 1]
    assert.deepEqual([...fromFloat32(given, "float8_e4m3fn")], expected)
    const negative = given.map((value) => -value)
    assert.deepEqual(
      [...fromFloat32(negative, "float8_e4m3fn")],
      expected.map((one) => one | 0x80),
    )
  }
  assert.deepEqual(
    [...fromFloat32([464, 464.001, -464.001, 1e300, -Infinity], "float8_e4m3fn")],
    [0x7e, 0x7f, 0xff, 0x7f, 0xff],
  )
})

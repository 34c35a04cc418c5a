import assert from "node:assert/strict"
import { test } from "node:test"
import { type Float16DType, fromFloat32, toFloat32 } from "../../src/index.js"

const words = new DataView(new ArrayBuffer(4))

function float32Of(bits: number): number {
  words.setUint32(0, bits)
  return words.getFloat32(0)
}

function bitsOf(value: number): number {
  words.setFloat32(0, value)
  return words.getUint32(0)
}

/** The same as in the standard, in another way than the code: the float32's own fields, built bit by bit. */
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

const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
const largest: { readonly [D in Float16DType]: number } = { float16: 0x7bff, bfloat16: 0x7f7f }

for (const dtype of ["float16", "bfloat16"] as const) {
  test(`§4 toFloat32: all 65536 patterns of ${dtype}`, () => {
    const values = toFloat32(all, dtype)
    for (const bits of all) assert.ok(Object.is(values[bits], widen[dtype](bits)), `pattern 0x${bits.toString(16)}`)
  })

  test(`§4 fromFloat32: all 65536 patterns of ${dtype} come back, NaN as one NaN`, () => {
    const back = fromFloat32(toFloat32(all, dtype), dtype)
    for (const bits of all) {
      const value = widen[dtype](bits)
      if (Number.isNaN(value)) assert.ok(Number.isNaN(widen[dtype](back[bits] ?? 0)))
      else assert.equal(back[bits], bits)
    }
  })

  test(`§4 fromFloat32: between two neighbours of ${dtype} the nearer one, in the middle the even one`, () => {
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

  test(`§4 fromFloat32: what is too large for ${dtype} becomes infinity, from the middle to the next power on`, () => {
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

  test(`§4 fromFloat32: the smallest of ${dtype}, and what is nearer to zero`, () => {
    const least = widen[dtype](1)
    const half = least / 2
    assert.deepEqual(
      [...fromFloat32([least, half, float32Of(bitsOf(half) + 1), 0, -0, -half], dtype)],
      [...[1, 0, 1, 0, 0x8000, 0x8000]],
    )
  })
}

test("§4 fromFloat32: from any list of numbers, to a Uint16Array of its own", () => {
  const source = [1, 2]
  const result = fromFloat32(source, "float16")
  assert.ok(result instanceof Uint16Array)
  assert.equal(result.length, 2)
  assert.deepEqual(fromFloat32([], "bfloat16"), new Uint16Array(0))
  assert.deepEqual(toFloat32(new Uint16Array(0), "float16"), new Float32Array(0))
})

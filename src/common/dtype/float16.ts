import type { DType, Float16Elements, SourceOf, TypedArrayOf } from "./dtype.js"
import { bfloat16Bits, bfloat16Value, float16Bits, float16Value, float8Bits, float8Value } from "./half.js"
import { bytesOf, isTypedArray, lengthOf } from "../typed-array.js"
import { elementsOf } from "./elements.js"
import { mustBe } from "../check.js"
import type { AuxstreamError } from "../errors.js"

/** The 16-bit floating point types. Their elements are bit patterns in a `Uint16Array`. */
export type Float16DType = "float16" | "bfloat16"

/** The floating types that JavaScript keeps as bit patterns. Those of `float8_e4m3fn` are in a `Uint8Array`. */
export type NarrowFloatDType = Float16DType | "float8_e4m3fn"

const conversions = {
  float16: { widen: float16Value, round: float16Bits },
  bfloat16: { widen: bfloat16Value, round: bfloat16Bits },
  float8_e4m3fn: { widen: float8Value, round: float8Bits },
} as const satisfies Partial<Record<DType, unknown>>

/**
 * Converts bit patterns of a 16-bit or 8-bit floating point type to float32. The conversion is exact.
 *
 * @param source the bit patterns: a `Uint16Array`, or a `Uint8Array` for `"float8_e4m3fn"`
 * @param dtype the dtype that they encode
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const bits = await half.read() // a Uint16Array, of a "bfloat16" array
 * const values = toFloat32(bits, "bfloat16") // a Float32Array
 */
export function toFloat32<D extends NarrowFloatDType>(source: SourceOf<D>, dtype: D): Float32Array<ArrayBuffer>
export function toFloat32(
  source: Uint16Array | Uint8Array | Float16Elements,
  dtype: NarrowFloatDType,
): Float32Array<ArrayBuffer> {
  const { widen } = conversionsOf(dtype)
  const elements = elementsOf(dtype)
  if (!elements.holds(source)) {
    throw invalidSource(source, `a Uint${8 * elements.byteLength}Array of bit patterns`)
  }
  const { buffer, byteOffset } = bytesOf(source)
  return Float32Array.from(elements.view(buffer, byteOffset, lengthOf(source)), widen)
}

/**
 * Converts numbers to bit patterns of a 16-bit or 8-bit floating point type: to nearest, ties to even. Each number is
 * rounded once, from float64, not by way of float32. Numbers beyond the dtype's range become infinity. `float8_e4m3fn`
 * has no infinity: there, numbers that round to more than 448 become NaN, as in PyTorch. NaN stays NaN.
 *
 * @param source an array or a typed array of numbers
 * @param dtype the dtype of the result
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const half = device.from(fromFloat32([0.5, 1], "float16"), "float16")
 */
export function fromFloat32<D extends NarrowFloatDType>(
  source: ArrayLike<number>,
  dtype: D,
): TypedArrayOf<D, ArrayBuffer>
export function fromFloat32(
  source: ArrayLike<number>,
  dtype: NarrowFloatDType,
): Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer> {
  const { round } = conversionsOf(dtype)
  if (!Array.isArray(source) && !isTypedArray(source))
    throw invalidSource(source, "an array or a typed array of numbers")
  const result = elementsOf(dtype).create(isTypedArray(source) ? lengthOf(source) : source.length)
  for (let i = 0; i < result.length; i++) {
    const value: unknown = source[i]
    if (typeof value !== "number") throw mustBe(`source[${i}]`, "a number", value)
    result[i] = round(value)
  }
  return result
}

function invalidSource(source: unknown, allowed: string): AuxstreamError {
  return mustBe("source", allowed, source)
}

function conversionsOf(dtype: NarrowFloatDType) {
  if (Object.hasOwn(conversions, dtype)) return conversions[dtype]
  throw mustBe("dtype", '"float16", "bfloat16" or "float8_e4m3fn"', dtype)
}

import type { Float16Elements } from "./dtype.js"
import { bfloat16Bits, bfloat16Value, float16Bits, float16Value } from "./half.js"
import { bytesOf, isTypedArray, lengthOf } from "../typed-array.js"
import { elementsOf } from "./elements.js"
import { mustBe } from "../check.js"
import type { AuxstreamError } from "../errors.js"

/** The 16-bit floating point types. Their elements are bit patterns in a `Uint16Array`. */
export type Float16DType = "float16" | "bfloat16"

/**
 * Converts bit patterns of a 16-bit floating point type to float32. The conversion is exact.
 *
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const half = await array.read()              // Uint16Array of a "bfloat16" array
 * const values = toFloat32(half, "bfloat16")   // Float32Array
 */
export function toFloat32(source: Uint16Array | Float16Elements, dtype: Float16DType): Float32Array<ArrayBuffer> {
  const { widen } = dtypeFunctions(dtype)
  if (!elementsOf(dtype).holds(source)) throw invalidSource(source, "a Uint16Array of bit patterns")
  const { buffer, byteOffset } = bytesOf(source)
  return Float32Array.from(new Uint16Array(buffer, byteOffset, lengthOf(source)), widen)
}

/**
 * Converts numbers to bit patterns of a 16-bit floating point type: to nearest, ties to even. Each number is rounded once,
 * from float64, not by way of float32. Numbers beyond the largest become infinity; NaN stays NaN.
 *
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const half = device.from(fromFloat32([0.5, 1], "float16"), "float16")
 */
export function fromFloat32(source: ArrayLike<number>, dtype: Float16DType): Uint16Array<ArrayBuffer> {
  const { round } = dtypeFunctions(dtype)
  if (!Array.isArray(source) && !isTypedArray(source))
    throw invalidSource(source, "an array or a typed array of numbers")
  const result = new Uint16Array(isTypedArray(source) ? lengthOf(source) : source.length)
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

function dtypeFunctions(dtype: Float16DType) {
  if (dtype === "float16") return { widen: float16Value, round: float16Bits }
  if (dtype === "bfloat16") return { widen: bfloat16Value, round: bfloat16Bits }
  throw mustBe("dtype", '"float16" or "bfloat16"', dtype)
}

import type { Float16Elements } from "./dtype.js"
import { bfloat16Bits, bfloat16Value, float16Bits, float16Value } from "./half.js"
import { bytesOf, isTypedArray, lengthOf } from "../typed-array.js"
import { elementsOf } from "./elements.js"
import { AuxstreamError } from "../errors.js"
import { show } from "../show.js"

/** The 16-bit floating types, which JavaScript keeps as bit patterns in a `Uint16Array`. */
export type Float16DType = "float16" | "bfloat16"

/**
 * Widens 16-bit floating point bit patterns to float32. Exact.
 *
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
 * Rounds numbers to 16-bit floating point bit patterns: to nearest, ties to even. Each number is rounded once, also one
 * that no float32 holds. Numbers beyond the largest become infinity; NaN stays NaN.
 */
export function fromFloat32(source: ArrayLike<number>, dtype: Float16DType): Uint16Array<ArrayBuffer> {
  const { round } = dtypeFunctions(dtype)
  if (!Array.isArray(source) && !isTypedArray(source))
    throw invalidSource(source, "an array or a typed array of numbers")
  const result = new Uint16Array(isTypedArray(source) ? lengthOf(source) : source.length)
  for (let i = 0; i < result.length; i++) {
    const value: unknown = source[i]
    if (typeof value !== "number")
      throw invalidSource(source, `an array of numbers, without the ${show(value)} at ${i}`)
    result[i] = round(value)
  }
  return result
}

function invalidSource(source: unknown, allowed: string): AuxstreamError {
  return new AuxstreamError("AUX_INVALID_ARGUMENT", `source must be ${allowed}; got ${show(source)}`)
}

function dtypeFunctions(dtype: Float16DType) {
  if (dtype === "float16") return { widen: float16Value, round: float16Bits }
  if (dtype === "bfloat16") return { widen: bfloat16Value, round: bfloat16Bits }
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `dtype is ${show(dtype)}; "float16" and "bfloat16" are the types that are kept as bit patterns`,
  )
}

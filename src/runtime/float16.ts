import { AuxstreamError } from "./errors.js"
import { show } from "./show.js"

/** The 16-bit floating types, which JavaScript keeps as bit patterns in a `Uint16Array`. */
export type Float16DType = "float16" | "bfloat16"

const scratchFloat = new Float32Array(1)
const scratchBits = new Uint32Array(scratchFloat.buffer)

/**
 * Widens 16-bit floating point bit patterns to float32. Exact.
 *
 * @example
 * const half = await array.read()              // Uint16Array of a "bfloat16" array
 * const values = toFloat32(half, "bfloat16")   // Float32Array
 */
export function toFloat32(source: Uint16Array, dtype: Float16DType): Float32Array<ArrayBuffer> {
  const { widen } = dtypeFunctions(dtype)
  if (!(source instanceof Uint16Array)) throw invalidSource(source, "a Uint16Array of bit patterns")
  return Float32Array.from(source, widen)
}

/**
 * Rounds numbers to 16-bit floating point bit patterns: to nearest, ties to even. What is too large becomes infinity;
 * NaN stays NaN.
 */
export function fromFloat32(source: ArrayLike<number>, dtype: Float16DType): Uint16Array<ArrayBuffer> {
  const { round } = dtypeFunctions(dtype)
  if (!Array.isArray(source) && !ArrayBuffer.isView(source)) throw invalidSource(source, "a list of numbers")
  const result = new Uint16Array(source.length)
  for (let i = 0; i < result.length; i++) {
    const value: unknown = source[i]
    if (typeof value !== "number") throw invalidSource(source, `a list of numbers, without the ${show(value)} at ${i}`)
    result[i] = round(value)
  }
  return result
}

function invalidSource(source: unknown, allowed: string): AuxstreamError {
  return new AuxstreamError("AUX_INVALID_ARGUMENT", `source is ${show(source)}; it is ${allowed}`)
}

function dtypeFunctions(dtype: Float16DType) {
  if (dtype === "float16") return { widen: float16ToNumber, round: numberToFloat16 }
  if (dtype === "bfloat16") return { widen: bfloat16ToNumber, round: numberToBfloat16 }
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `dtype is ${show(dtype)}; "float16" and "bfloat16" are the types that are kept as bit patterns`,
  )
}

function bfloat16ToNumber(bits: number): number {
  scratchBits[0] = bits << 16
  return scratchFloat[0] ?? 0
}

/** The nearest bfloat16's bits, ties to even. */
export function numberToBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  const bits = float32Bits(value)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The nearest float16's bits, ties to even. */
export function numberToFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = (float32Bits(value) >>> 16) & 0x8000
  const magnitude = Math.abs(Math.fround(value))
  if (magnitude >= 65520) return sign | 0x7c00
  // Below 2^-14 the step between neighbours is constant; above, it grows with the exponent.
  const exponent = magnitude < 2 ** -14 ? -14 : (float32Bits(magnitude) >>> 23) - 127
  const steps = roundTiesToEven(magnitude / 2 ** (exponent - 10))
  return sign | (magnitude < 2 ** -14 ? steps : ((exponent + 14) << 10) + steps)
}

function float32Bits(value: number): number {
  scratchFloat[0] = value
  return scratchBits[0] ?? 0
}

function roundTiesToEven(value: number): number {
  const below = Math.floor(value)
  const rest = value - below
  if (rest !== 0.5) return Math.round(value)
  return below % 2 === 0 ? below : below + 1
}

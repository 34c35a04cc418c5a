/** The bit patterns of 16-bit floating point numbers, rounded to the nearest, ties to even. */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

function float32Bits(value: number): number {
  float[0] = value
  return bits[0] ?? 0
}

/** Shifts right and rounds to the nearest, ties to even. */
function roundingShift(value: number, count: number): number {
  const half = 2 ** (count - 1)
  const rest = value % (2 * half)
  const floor = Math.floor(value / (2 * half))
  return rest > half || (rest === half && floor % 2 === 1) ? floor + 1 : floor
}

/** The bits of a number as float16. */
export function float16Bits(value: number): number {
  // From the double itself: rounding to float32 first would round twice.
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (Number.isNaN(value)) return 0x7e00
  if (magnitude >= 65520) return sign | 0x7c00
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude))
  // Math.log2 may round up just below a power of two.
  const exact = magnitude < 2 ** exponent && exponent > -14 ? exponent - 1 : exponent
  const significand = roundHalfEven(magnitude * 2 ** (10 - exact))
  return sign | (((exact + 14) << 10) + significand)
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

/** The bits of a number as bfloat16. */
export function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  return roundingShift(float32Bits(value), 16) & 0xffff
}

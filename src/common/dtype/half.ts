/**
 * The 16-bit and 8-bit floating point types as bit patterns. Only this file rounds to them: in one step from float64, to
 * nearest, ties to even. Going through float32 would round twice.
 */

interface Format {
  readonly fractionBits: number
  /** The exponent of the smallest normal number. Subnormal numbers have the same spacing. */
  readonly leastExponent: number
  /** The pattern of numbers beyond the largest: infinity, or NaN if the format has no infinity. */
  readonly beyond: number
  /** The place of the sign bit. */
  readonly sign: number
}

const FLOAT16: Format = { fractionBits: 10, leastExponent: -14, beyond: 0x7c00, sign: 15 }
const BFLOAT16: Format = { fractionBits: 7, leastExponent: -126, beyond: 0x7f80, sign: 15 }
/** NaN is the only pattern with all bits set: 448 is the largest number. */
const FLOAT8_E4M3FN: Format = { fractionBits: 3, leastExponent: -6, beyond: 0x7f, sign: 7 }

const scratch = new DataView(new ArrayBuffer(8))

/** The bits of the float16 nearest to a number, ties to even. Numbers beyond the largest become infinity. */
export function float16Bits(value: number): number {
  return bitsOf(value, FLOAT16)
}

/** The bits of the bfloat16 nearest to a number, ties to even. Numbers beyond the largest become infinity. */
export function bfloat16Bits(value: number): number {
  return bitsOf(value, BFLOAT16)
}

/** The bits of the float8_e4m3fn nearest to a number, ties to even. Numbers that round to more than 448 become NaN. */
export function float8Bits(value: number): number {
  return bitsOf(value, FLOAT8_E4M3FN)
}

function bitsOf(value: number, { fractionBits, leastExponent, beyond, sign }: Format): number {
  scratch.setFloat64(0, value)
  const high = scratch.getUint32(0)
  if (value !== value) return beyond | (1 << (fractionBits - 1))
  const exponent = Math.max(leastExponent, ((high >>> 20) & 0x7ff) - 1023)
  // Scaling by a power of two is exact. The format's spacing becomes 1, and adding 2^52 rounds the fraction away.
  const steps = Math.abs(value) * powerOfTwo(fractionBits - exponent) + 2 ** 52 - 2 ** 52
  const bits = (exponent - leastExponent) * 2 ** fractionBits + steps
  return ((high >>> 31) << sign) | Math.min(bits, beyond)
}

/** Two to the power of `exponent`, which must be from -1022 to 1023. Exact. */
function powerOfTwo(exponent: number): number {
  scratch.setUint32(0, (exponent + 1023) << 20)
  scratch.setUint32(4, 0)
  return scratch.getFloat64(0)
}

/** The value of a float16 bit pattern. */
export function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1024 + fraction) * powerOfTwo(exponent - 25)
}

/** The value of a bfloat16 bit pattern. */
export function bfloat16Value(bits: number): number {
  scratch.setUint32(0, bits << 16)
  return scratch.getFloat32(0)
}

/** The value of a float8_e4m3fn bit pattern. */
export function float8Value(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1
  const exponent = (bits >>> 3) & 0xf
  const fraction = bits & 7
  if ((bits & 0x7f) === 0x7f) return NaN
  if (exponent === 0) return sign * fraction * 2 ** -9
  return sign * (8 + fraction) * powerOfTwo(exponent - 10)
}

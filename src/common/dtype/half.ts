/**
 * The 16-bit floating point types as bit patterns. Only this file rounds to them: in one step from float64, to nearest,
 * ties to even. Going through float32 would round twice.
 */

interface Format {
  readonly fractionBits: number
  /** The exponent of the smallest normal number. Subnormal numbers have the same spacing. */
  readonly leastExponent: number
  readonly infinity: number
}

const FLOAT16: Format = { fractionBits: 10, leastExponent: -14, infinity: 0x7c00 }
const BFLOAT16: Format = { fractionBits: 7, leastExponent: -126, infinity: 0x7f80 }

const scratch = new DataView(new ArrayBuffer(8))

/** The bits of the float16 nearest to a number, ties to even. Numbers beyond the largest become infinity. */
export function float16Bits(value: number): number {
  return bitsOf(value, FLOAT16)
}

/** The bits of the bfloat16 nearest to a number, ties to even. Numbers beyond the largest become infinity. */
export function bfloat16Bits(value: number): number {
  return bitsOf(value, BFLOAT16)
}

function bitsOf(value: number, { fractionBits, leastExponent, infinity }: Format): number {
  scratch.setFloat64(0, value)
  const high = scratch.getUint32(0)
  const sign = (high >>> 16) & 0x8000
  if (value !== value) return infinity | (1 << (fractionBits - 1))
  const exponent = Math.max(leastExponent, ((high >>> 20) & 0x7ff) - 1023)
  // Scaling by a power of two is exact. The format's spacing becomes 1, and adding 2^52 rounds the fraction away.
  const steps = Math.abs(value) * powerOfTwo(fractionBits - exponent) + 2 ** 52 - 2 ** 52
  const bits = (exponent - leastExponent) * 2 ** fractionBits + steps
  return sign | Math.min(bits, infinity)
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

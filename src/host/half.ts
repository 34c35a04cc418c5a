const scratch = new Float32Array(1)
const bits = new Uint32Array(scratch.buffer)

/** The float16 nearest to a number, ties to even, as a number. */
export function roundToFloat16(value: number): number {
  const size = Math.abs(value)
  if (!(size < 65520)) return Number.isNaN(value) ? NaN : Math.sign(value) * Infinity
  // Adding and taking away a number this large leaves 11 significant bits, or multiples of 2^-24 if it is subnormal.
  const exponent = Math.max(-14, Math.floor(Math.log2(size)))
  const anchor = 2 ** (exponent + 42)
  const rounded = size + anchor - anchor
  return value < 0 || Object.is(value, -0) ? -rounded : rounded
}

/** The bfloat16 nearest to a number, ties to even, as a number. */
export function roundToBfloat16(value: number): number {
  scratch[0] = value
  const word = bits[0] ?? 0
  if (Number.isNaN(value)) return NaN
  bits[0] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000
  return scratch[0]
}

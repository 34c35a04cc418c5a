// The element types of a product, and how four of them become float32 in one vector and back.

/** The bits of a bfloat16. Unsigned and signed only so that the compiler can tell the two 16-bit types apart. */
export type bfloat16 = u16
/** The bits of a float16. */
export type float16 = i16
/** The bits of a float8_e4m3fn. */
export type float8 = u8

/** Four elements as float32. */
@inline
export function loadFour<T>(address: usize): v128 {
  if (isFloat<T>()) return v128.load(address)
  if (sizeof<T>() == 1) return fromFloat8(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(address))))
  const bits = v128.load_ext<u16>(address)
  return isSigned<T>() ? fromFloat16(bits) : i32x4.shl(bits, 16)
}

/** One element as float32. */
@inline
export function loadOne<T>(address: usize): f32 {
  if (isFloat<T>()) return load<f32>(address)
  if (sizeof<T>() == 1) return f32x4.extract_lane(fromFloat8(i32x4.splat(load<u8>(address))), 0)
  const bits = i32x4.splat(load<u16>(address))
  return f32x4.extract_lane(isSigned<T>() ? fromFloat16(bits) : i32x4.shl(bits, 16), 0)
}

/** Writes four float32 as elements, rounded to nearest, ties to even. */
@inline
export function storeFour<T>(address: usize, values: v128): void {
  if (isFloat<T>()) v128.store(address, values)
  else v128.store_lane<u64>(address, toSixteenBits<T>(values), 0)
}

/** Writes one float32 as an element. */
@inline
export function storeOne<T>(address: usize, value: f32): void {
  if (isFloat<T>()) store<f32>(address, value)
  else v128.store_lane<u16>(address, toSixteenBits<T>(f32x4.splat(value)), 0)
}

@inline
function toSixteenBits<T>(values: v128): v128 {
  const bits = isSigned<T>() ? toFloat16(values) : toBfloat16(values)
  return i16x8.narrow_i32x4_u(bits, bits)
}

// Exponents differ by 112. A subnormal is completed to a normal number just above 2^-14, and 2^-14 taken off again: no
// float32 subnormal appears on the way, which the processor would be slow with. Of the two readings the smaller one is
// right: they cross at the least normal number.
@inline
function fromFloat16(bits: v128): v128 {
  const magnitude = i32x4.shr_u(i32x4.shl(bits, 17), 4)
  const normal = i32x4.add(magnitude, i32x4.splat(112 << 23))
  const least = i32x4.splat(113 << 23)
  const subnormal = f32x4.sub(i32x4.add(magnitude, least), least)
  const finite = i32x4.min_s(normal, subnormal)
  const special = i32x4.shl(i32x4.shr_u(i32x4.gt_s(magnitude, i32x4.splat((31 << 23) - 1)), 24), 23)
  const sign = i32x4.shl(i32x4.shr_u(bits, 15), 31)
  return v128.or(v128.or(finite, special), sign)
}

// As above, with exponents that differ by 120, and NaN as the only special pattern.
@inline
function fromFloat8(bits: v128): v128 {
  const magnitude = i32x4.shr_u(i32x4.shl(bits, 25), 5)
  const normal = i32x4.add(magnitude, i32x4.splat(120 << 23))
  const least = i32x4.splat(121 << 23)
  const subnormal = f32x4.sub(i32x4.add(magnitude, least), least)
  const finite = i32x4.min_s(normal, subnormal)
  const special = i32x4.shr_u(i32x4.eq(magnitude, i32x4.splat(0x7f << 20)), 1)
  const sign = i32x4.shl(i32x4.shr_u(bits, 7), 31)
  return v128.or(v128.or(finite, special), sign)
}

@inline
function toFloat16(values: v128): v128 {
  const sign = v128.and(values, i32x4.splat(0x80000000))
  const magnitude = v128.xor(values, sign)
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1))
  const rounded = i32x4.add(i32x4.add(magnitude, odd), i32x4.splat(0xfff - (112 << 23)))
  const normal = i32x4.shr_u(rounded, 13)
  // Adding 1/2 leaves exactly the bits of a float16 subnormal at the low end, rounded by the addition.
  const half = i32x4.splat(126 << 23)
  const subnormal = i32x4.sub(f32x4.add(magnitude, half), half)
  const isSubnormal = i32x4.lt_s(magnitude, i32x4.splat(113 << 23))
  const finite = v128.bitselect(subnormal, normal, isSubnormal)
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000))
  const special = v128.bitselect(i32x4.splat(0x7e00), i32x4.splat(0x7c00), isNan)
  const isSpecial = i32x4.gt_s(magnitude, i32x4.splat((143 << 23) - 1))
  return v128.or(v128.bitselect(special, finite, isSpecial), i32x4.shr_u(sign, 16))
}

@inline
function toBfloat16(values: v128): v128 {
  const odd = v128.and(i32x4.shr_u(values, 16), i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(values, odd), i32x4.splat(0x7fff)), 16)
  const quietNan = v128.or(i32x4.shr_u(values, 16), i32x4.splat(0x40))
  return v128.bitselect(rounded, quietNan, f32x4.eq(values, values))
}

// Weights from a seed, the same on every device: an integer hash of the element's number, no state.

/**
 * Fills with bfloat16 between -scale and scale, evenly spread. They are odd multiples of scale / 256, which bfloat16
 * holds exactly if the scale is a power of two.
 */
export function fill_weights(out: usize, count: u32, seed: u32, scale: f32): void {
  const start = i32x4.splat(seed * 0x9e3779b9)
  const lanes = i32x4(0, 1, 2, 3)
  const unit = f32x4.splat(scale / 256)
  const whole = count & ~3
  for (let i: u32 = 0; i < whole; i += 4) {
    const bits = weights(i32x4.add(i32x4.add(i32x4.splat(i), lanes), start), unit)
    v128.store_lane<u64>(out + (<usize>i << 1), bits, 0)
  }
  for (let i = whole; i < count; i++) {
    const bits = weights(i32x4.add(i32x4.splat(i), start), unit)
    v128.store_lane<u16>(out + (<usize>i << 1), bits, 0)
  }
}

/** The bfloat16 of four numbers' hashes, in the lower half. */
@inline
function weights(numbers: v128, unit: v128): v128 {
  const byte = i32x4.shr_u(hash(numbers), 24)
  const odd = i32x4.sub(i32x4.shl(byte, 1), i32x4.splat(255))
  const bits = i32x4.shr_u(f32x4.mul(f32x4.convert_i32x4_s(odd), unit), 16)
  return i16x8.narrow_i32x4_u(bits, bits)
}

/** The finaliser of MurmurHash3. */
@inline
function hash(x: v128): v128 {
  let h = v128.xor(x, i32x4.shr_u(x, 16))
  h = i32x4.mul(h, i32x4.splat(0x85ebca6b))
  h = v128.xor(h, i32x4.shr_u(h, 13))
  h = i32x4.mul(h, i32x4.splat(0xc2b2ae35))
  return v128.xor(h, i32x4.shr_u(h, 16))
}

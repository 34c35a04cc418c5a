// What becomes of a product before it is stored: the bias is added, then the activation is applied.

import { loadFour, loadOne } from "./element"

/** What host.ts calls them. */
export const HAS_BIAS: u32 = 1
export const HAS_SCALE_A: u32 = 2
export const HAS_SCALE_B: u32 = 4
const RELU: u32 = 8
const GELU: u32 = 16

/** The bits that `finishFour` and `finishOne` look at. */
export const AFTER_PRODUCT: u32 = HAS_BIAS | RELU | GELU

/** Four elements of a row, and the address of their biases. */
@inline
export function finishFour<B>(values: v128, bias: usize, epilogue: u32): v128 {
  if (epilogue & HAS_BIAS) values = f32x4.add(values, loadFour<B>(bias))
  // Lanes that are NaN stay NaN.
  if (epilogue & RELU) return v128.bitselect(f32x4.splat(0), values, f32x4.lt(values, f32x4.splat(0)))
  if (!(epilogue & GELU)) return values
  let result = f32x4.splat(gelu(f32x4.extract_lane(values, 0)))
  result = f32x4.replace_lane(result, 1, gelu(f32x4.extract_lane(values, 1)))
  result = f32x4.replace_lane(result, 2, gelu(f32x4.extract_lane(values, 2)))
  return f32x4.replace_lane(result, 3, gelu(f32x4.extract_lane(values, 3)))
}

/** One element, and the address of its bias. */
@inline
export function finishOne<B>(value: f32, bias: usize, epilogue: u32): f32 {
  if (epilogue & HAS_BIAS) value += loadOne<B>(bias)
  if (epilogue & RELU) return value < 0 ? 0 : value
  return epilogue & GELU ? gelu(value) : value
}

const ROOT_OF_TWO_BY_PI: f32 = 0.7978845608028654
const CUBIC: f32 = 0.044715

/** GELU in its tanh form, as cuBLASLt has it. */
function gelu(x: f32): f32 {
  const inner = ROOT_OF_TWO_BY_PI * (x + CUBIC * x * x * x)
  return 0.5 * x * (1 + Mathf.tanh(inner))
}

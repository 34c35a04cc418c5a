// Operations element by element, or row by row. Widths are multiples of four.

import { bfloat16, loadFour, storeFour } from "../../../src/blas/assembly/element"
import { sigmoid } from "./exponential"

/** hidden[t] = table[tokens[t]] */
export function embed(tokens: usize, table: usize, hidden: usize, count: u32, width: u32): void {
  for (let token: u32 = 0; token < count; token++) {
    const row = table + <usize>load<u8>(tokens + token) * (width << 1)
    for (let i: u32 = 0; i < width; i += 4) {
      v128.store(hidden, loadFour<bfloat16>(row + (i << 1)))
      hidden += 16
    }
  }
}

/** out = x / √(mean of x² + epsilon) · weight, row by row */
export function rms_norm(x: usize, weight: usize, out: usize, rows: u32, width: u32, epsilon: f32): void {
  for (let row: u32 = 0; row < rows; row++) {
    let squares = f32x4.splat(0)
    for (let i: u32 = 0; i < width; i += 4) {
      const value = v128.load(x + (i << 2))
      squares = f32x4.add(squares, f32x4.mul(value, value))
    }
    const scale = f32x4.splat(1 / sqrt<f32>(sumOfLanes(squares) / <f32>width + epsilon))
    for (let i: u32 = 0; i < width; i += 4) {
      const value = f32x4.mul(v128.load(x + (i << 2)), scale)
      storeFour<bfloat16>(out + (i << 1), f32x4.mul(value, loadFour<bfloat16>(weight + (i << 1))))
    }
    x += width << 2
    out += width << 1
  }
}

/** out = silu(gate) · up, for rows of `width` gates and `width` ups */
export function swiglu(gateUp: usize, out: usize, rows: u32, width: u32): void {
  for (let row: u32 = 0; row < rows; row++) {
    const up = gateUp + (width << 2)
    for (let i: u32 = 0; i < width; i += 4) {
      const gate = v128.load(gateUp + (i << 2))
      const activated = f32x4.mul(gate, sigmoid(gate))
      storeFour<bfloat16>(out + (i << 1), f32x4.mul(activated, v128.load(up + (i << 2))))
    }
    gateUp += width << 3
    out += width << 1
  }
}

/**
 * next[t] = hidden[t] + sigmoid(x[t] · gate) · shared[t] + the weighted results of t's experts, which stand in the rows
 * `slots`
 */
export function combine(
  hidden: usize,
  x: usize,
  gate: usize,
  shared: usize,
  routed: usize,
  slots: usize,
  weights: usize,
  next: usize,
  tokens: u32,
  topK: u32,
  width: u32,
): void {
  for (let token: u32 = 0; token < tokens; token++) {
    const share = sigmoid(f32x4.splat(dotProduct(x, gate, width)))
    for (let i: u32 = 0; i < width; i += 4) {
      let sum = f32x4.add(v128.load(hidden + (i << 2)), f32x4.mul(share, v128.load(shared + (i << 2))))
      for (let choice: u32 = 0; choice < topK; choice++) {
        const row = routed + <usize>load<u32>(slots + (choice << 2)) * (width << 2)
        sum = f32x4.add(sum, f32x4.mul(v128.load(row + (i << 2)), v128.load_splat<u32>(weights + (choice << 2))))
      }
      v128.store(next + (i << 2), sum)
    }
    hidden += width << 2
    x += width << 1
    shared += width << 2
    next += width << 2
    slots += topK << 2
    weights += topK << 2
  }
}

function dotProduct(a: usize, b: usize, width: u32): f32 {
  let products = f32x4.splat(0)
  for (let i: u32 = 0; i < width; i += 4) {
    const product = f32x4.mul(loadFour<bfloat16>(a + (i << 1)), loadFour<bfloat16>(b + (i << 1)))
    products = f32x4.add(products, product)
  }
  return sumOfLanes(products)
}

@inline
function sumOfLanes(v: v128): f32 {
  const low = f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)
  return low + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

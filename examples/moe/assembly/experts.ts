// The grouped product: each expert multiplies the rows that were sorted to it by a matrix of its own. How many rows an
// expert has stands in device memory only.

import { bfloat16 } from "../../../src/blas/assembly/element"
import { multiply } from "../../../src/blas/assembly/product"

/**
 * out[r] = x[r] · weights[e] for the rows r from offsets[e] to offsets[e + 1]
 * @param x [rows][depth], `weights` [experts][depth][width], both bfloat16; `out` [rows][width], float32
 */
export function expert_product(
  x: usize,
  weights: usize,
  offsets: usize,
  out: usize,
  scratch: usize,
  experts: u32,
  depth: u32,
  width: u32,
): void {
  for (let expert: u32 = 0; expert < experts; expert++) {
    const first = load<u32>(offsets + (expert << 2))
    const rows = load<u32>(offsets + (expert << 2), 4) - first
    const left = x + ((first * depth) << 1)
    const right = weights + ((expert * depth * width) << 1)
    const result = out + ((first * width) << 2)
    if (rows > 0) {
      multiply<bfloat16, f32>(left, depth, 1, right, width, 1, result, rows, width, depth, 1, 0, scratch)
    }
  }
}

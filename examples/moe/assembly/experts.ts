// The routed experts: each multiplies the rows that were sorted to it by matrices of its own. How many rows an expert has
// stands in device memory only.

import { bfloat16 } from "../../../src/blas/assembly/element"
import { multiply } from "../../../src/blas/assembly/product"
import { SCRATCH_BYTES } from "../../../src/blas/blocks"
import { swiglu } from "./elementwise"

/**
 * inner[r] = silu(gate) · up, where gate and up are the halves of x[rows[r]] · weights[e], for the sorted rows r from
 * offsets[e] to offsets[e + 1]
 *
 * @param x [tokens][depth], `weights` [experts][depth][2 · width], `inner` [rows][width], all bfloat16
 * @param scratch for the product, then for an expert's rows of x, then for its gates and ups in float32
 */
export function expert_up(
  x: usize,
  rows: usize,
  weights: usize,
  offsets: usize,
  inner: usize,
  scratch: usize,
  experts: u32,
  depth: u32,
  width: u32,
): void {
  const gathered = scratch + SCRATCH_BYTES
  for (let expert: u32 = 0; expert < experts; expert++) {
    const first = load<u32>(offsets + (expert << 2))
    const count = load<u32>(offsets + (expert << 2), 4) - first
    if (count === 0) continue
    gatherRows(x, rows + (first << 2), gathered, count, depth << 1)
    const gateUp = gathered + ((count * depth) << 1)
    const right = weights + ((expert * depth * width) << 2)
    const both = width << 1
    multiply<bfloat16, f32, f32>(gathered, depth, 1, right, both, 1, gateUp, both, count, both, depth, 1, 0, scratch, 0, 0)
    swiglu(gateUp, inner + ((first * width) << 1), count, width)
  }
}

/**
 * out[r] = inner[r] · weights[e] for the sorted rows r from offsets[e] to offsets[e + 1]
 *
 * @param inner [rows][depth], `weights` [experts][depth][width], both bfloat16; `out` [rows][width], float32
 */
export function expert_down(
  inner: usize,
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
    const count = load<u32>(offsets + (expert << 2), 4) - first
    if (count === 0) continue
    const left = inner + ((first * depth) << 1)
    const right = weights + ((expert * depth * width) << 1)
    const result = out + ((first * width) << 2)
    multiply<bfloat16, f32, f32>(left, depth, 1, right, width, 1, result, width, count, width, depth, 1, 0, scratch, 0, 0)
  }
}

/** out[i] = x[rows[i]], rows of so many bytes */
function gatherRows(x: usize, rows: usize, out: usize, count: u32, bytes: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    memory.copy(out + i * bytes, x + load<u32>(rows + (i << 2)) * bytes, bytes)
  }
}

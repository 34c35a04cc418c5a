// The kernel of auxstream/blas for the host device. Addresses are unsigned and reach to 4 GiB. Nothing here has memory
// of its own: no heap, no data segments, no stack in memory, since the memory belongs to the device's user.

import { bfloat16, float16 } from "./element"
import { multiply } from "./product"

/** What host.ts calls the types of the inputs and of the result. */
const FLOAT32_TO_FLOAT32: u32 = 0
const FLOAT16_TO_FLOAT16: u32 = 1
const FLOAT16_TO_FLOAT32: u32 = 2
const BFLOAT16_TO_BFLOAT16: u32 = 3
const BFLOAT16_TO_FLOAT32: u32 = 4

/** A batch of products; see `matmul` in ../index.ts. Strides are in elements. */
export function matmul(
  a: usize,
  b: usize,
  out: usize,
  scratch: usize,
  types: u32,
  m: usize,
  n: usize,
  k: usize,
  transposeA: bool,
  transposeB: bool,
  alpha: f32,
  beta: f32,
  count: usize,
  strideA: usize,
  strideB: usize,
  strideOut: usize,
): void {
  const inputShift: usize = types == FLOAT32_TO_FLOAT32 ? 2 : 1
  const outShift: usize = types == FLOAT16_TO_FLOAT16 || types == BFLOAT16_TO_BFLOAT16 ? 1 : 2
  for (let i: usize = 0; i < count; i++) {
    multiplyTyped(a, b, out, scratch, types, m, n, k, transposeA, transposeB, alpha, beta)
    a += strideA << inputShift
    b += strideB << inputShift
    out += strideOut << outShift
  }
}

function multiplyTyped(
  a: usize,
  b: usize,
  out: usize,
  scratch: usize,
  types: u32,
  m: usize,
  n: usize,
  k: usize,
  transposeA: bool,
  transposeB: bool,
  alpha: f32,
  beta: f32,
): void {
  const aRow = transposeA ? <usize>1 : k
  const aColumn = transposeA ? m : 1
  const bRow = transposeB ? <usize>1 : n
  const bColumn = transposeB ? k : 1
  switch (types) {
    case FLOAT32_TO_FLOAT32:
      return multiply<f32, f32>(a, aRow, aColumn, b, bRow, bColumn, out, m, n, k, alpha, beta, scratch)
    case FLOAT16_TO_FLOAT16:
      return multiply<float16, float16>(a, aRow, aColumn, b, bRow, bColumn, out, m, n, k, alpha, beta, scratch)
    case FLOAT16_TO_FLOAT32:
      return multiply<float16, f32>(a, aRow, aColumn, b, bRow, bColumn, out, m, n, k, alpha, beta, scratch)
    case BFLOAT16_TO_BFLOAT16:
      return multiply<bfloat16, bfloat16>(a, aRow, aColumn, b, bRow, bColumn, out, m, n, k, alpha, beta, scratch)
    case BFLOAT16_TO_FLOAT32:
      return multiply<bfloat16, f32>(a, aRow, aColumn, b, bRow, bColumn, out, m, n, k, alpha, beta, scratch)
    default:
      unreachable()
  }
}

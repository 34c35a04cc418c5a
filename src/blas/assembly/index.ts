// The kernel of auxstream/blas for the host device. Addresses are unsigned and reach to 4 GiB. Nothing here has memory
// of its own: no heap, no data segments, no stack in memory, since the memory belongs to the device's user.

import { bfloat16, float16, float8 } from "./element"
import { HAS_SCALE_A, HAS_SCALE_B } from "./epilogue"
import { multiply } from "./product"

/** The codes of common/dtype/product-types.ts. */
const FLOAT32_TO_FLOAT32: u32 = 0
const FLOAT16_TO_FLOAT16: u32 = 1
const FLOAT16_TO_FLOAT32: u32 = 2
const BFLOAT16_TO_BFLOAT16: u32 = 3
const BFLOAT16_TO_FLOAT32: u32 = 4
const FLOAT8_TO_FLOAT32: u32 = 5
const FLOAT8_TO_FLOAT16: u32 = 6
const FLOAT8_TO_BFLOAT16: u32 = 7

/** A batch of products; see `matmul` in ../matmul.ts. Row lengths and strides are in elements. */
export function matmul(
  a: usize,
  b: usize,
  out: usize,
  scratch: usize,
  bias: usize,
  scaleA: usize,
  scaleB: usize,
  types: u32,
  epilogue: u32,
  m: usize,
  n: usize,
  k: usize,
  transposeA: bool,
  transposeB: bool,
  ldA: usize,
  ldB: usize,
  ldOut: usize,
  alpha: f32,
  beta: f32,
  count: usize,
  strideA: usize,
  strideB: usize,
  strideOut: usize,
): void {
  const inputShift: usize = types == FLOAT32_TO_FLOAT32 ? 2 : types >= FLOAT8_TO_FLOAT32 ? 0 : 1
  const isWide = types == FLOAT32_TO_FLOAT32 || types == FLOAT16_TO_FLOAT32 || types == BFLOAT16_TO_FLOAT32
  const outShift: usize = isWide || types == FLOAT8_TO_FLOAT32 ? 2 : 1
  const aRow = transposeA ? <usize>1 : ldA
  const aColumn = transposeA ? ldA : 1
  const bRow = transposeB ? <usize>1 : ldB
  const bColumn = transposeB ? ldB : 1
  if (epilogue & HAS_SCALE_A) alpha *= load<f32>(scaleA)
  if (epilogue & HAS_SCALE_B) alpha *= load<f32>(scaleB)
  for (let i: usize = 0; i < count; i++) {
    multiplyTyped(a, aRow, aColumn, b, bRow, bColumn, out, ldOut, types, m, n, k, alpha, beta, scratch, bias, epilogue)
    a += strideA << inputShift
    b += strideB << inputShift
    out += strideOut << outShift
  }
}

function multiplyTyped(
  a: usize,
  aRow: usize,
  aColumn: usize,
  b: usize,
  bRow: usize,
  bColumn: usize,
  out: usize,
  outRow: usize,
  types: u32,
  m: usize,
  n: usize,
  k: usize,
  alpha: f32,
  beta: f32,
  scratch: usize,
  bias: usize,
  epilogue: u32,
): void {
  switch (types) {
    case FLOAT32_TO_FLOAT32:
      return multiply<f32, f32, f32>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case FLOAT16_TO_FLOAT16:
      return multiply<float16, float16, float16>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case FLOAT16_TO_FLOAT32:
      return multiply<float16, f32, f32>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case BFLOAT16_TO_BFLOAT16:
      return multiply<bfloat16, bfloat16, bfloat16>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case BFLOAT16_TO_FLOAT32:
      return multiply<bfloat16, f32, f32>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case FLOAT8_TO_FLOAT32:
      return multiply<float8, f32, bfloat16>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case FLOAT8_TO_FLOAT16:
      return multiply<float8, float16, float16>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    case FLOAT8_TO_BFLOAT16:
      return multiply<float8, bfloat16, bfloat16>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    default:
      unreachable()
  }
}

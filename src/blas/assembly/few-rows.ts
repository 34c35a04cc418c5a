// The product of few rows (a small batch in an inference engine) by a large matrix. Memory sets the pace, so the matrix
// is read once, in its own order, and nothing of it is packed.

import { FEW_ROWS, FEW_ROWS_COLUMNS, FEW_ROWS_DEPTH } from "../blocks"
import { addDotProducts } from "./dot-products"
import { loadOne } from "./element"
import { addScaledRows } from "./scaled-rows"
import { storeBlock } from "./store"

const SUMS_BYTES: usize = FEW_ROWS * FEW_ROWS_COLUMNS * 4

/** See `multiply`. `m` is `FEW_ROWS` at most. */
export function multiplyFewRows<I, O, B>(
  a: usize,
  aRow: usize,
  aColumn: usize,
  b: usize,
  bRow: usize,
  bColumn: usize,
  out: usize,
  outRow: usize,
  m: usize,
  n: usize,
  k: usize,
  alpha: f32,
  beta: f32,
  scratch: usize,
  bias: usize,
  epilogue: u32,
): void {
  const left = scratch + SUMS_BYTES
  for (let column: usize = 0; column < n; column += FEW_ROWS_COLUMNS) {
    const columns = min<usize>(FEW_ROWS_COLUMNS, n - column)
    memory.fill(scratch, 0, m * (FEW_ROWS_COLUMNS * 4))
    for (let step: usize = 0; step < k; step += FEW_ROWS_DEPTH) {
      const depth = min<usize>(FEW_ROWS_DEPTH, k - step)
      loadRows<I>(left, a + ((step * aColumn) << alignof<I>()), aRow, aColumn, m, depth)
      const block = b + ((step * bRow + column * bColumn) << alignof<I>())
      if (bColumn == 1) addScaledRows<I>(scratch, left, block, bRow, m, columns, depth)
      else addDotProducts<I>(scratch, left, block, bColumn, m, columns, depth)
    }
    const corner = out + (column << alignof<O>())
    const ofColumns = bias + (column << alignof<B>())
    storeBlock<O, B>(corner, outRow, scratch, FEW_ROWS_COLUMNS, m, columns, k == 0, alpha, beta, ofColumns, epilogue)
  }
}

/** The block's rows of the left matrix as float32, `FEW_ROWS_DEPTH` apart. */
function loadRows<I>(target: usize, a: usize, aRow: usize, aColumn: usize, m: usize, depth: usize): void {
  for (let row: usize = 0; row < m; row++) {
    for (let step: usize = 0; step < depth; step++) {
      const value = loadOne<I>(a + ((row * aRow + step * aColumn) << alignof<I>()))
      store<f32>(target + ((row * FEW_ROWS_DEPTH + step) << 2), value)
    }
  }
}

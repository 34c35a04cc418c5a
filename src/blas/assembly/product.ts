// One product of two matrices: out = activation(alpha · a · b + beta · out + bias).
//
// Blocked as Goto and van de Geijn describe it: a block of b is packed once and multiplied by every block of a, which
// is packed likewise; the micro kernel then reads both from end to end out of the caches. The sums are kept in float32
// beside them until the whole depth is added up, so that a 16-bit result is rounded once.

import { BLOCK_COLUMNS, BLOCK_DEPTH, BLOCK_ROWS, FEW_ROWS, PANEL_PADDING } from "../blocks"
import { multiplyFewRows } from "./few-rows"
import { multiplyTile, TILE_COLUMNS, TILE_ROWS } from "./micro"
import { packPanels, panelBytes } from "./pack"
import { storeBlock } from "./store"

const SUMS_BYTES: usize = BLOCK_ROWS * BLOCK_COLUMNS * 4
const PACKED_B_BYTES: usize = BLOCK_COLUMNS * (BLOCK_DEPTH * 4 + PANEL_PADDING)

/**
 * @param aRow from a row of a to the next, in elements; `aColumn` likewise; one of the two is 1, and so for b
 * @param outRow from a row of out to the next, in elements
 * @param scratch `SCRATCH_BYTES` of memory, aligned to 16 bytes
 */
export function multiply<I, O, B>(
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
  // Dot products read the right matrix once for each row, so that packing pays earlier than for scaled rows.
  const fewRows: usize = bColumn == 1 ? FEW_ROWS : FEW_ROWS / 2
  if (m <= fewRows) {
    multiplyFewRows<I, O, B>(a, aRow, aColumn, b, bRow, bColumn, out, outRow, m, n, k, alpha, beta, scratch, bias, epilogue)
    return
  }
  const packedB = scratch + SUMS_BYTES
  const packedA = packedB + PACKED_B_BYTES
  for (let row: usize = 0; row < m; row += BLOCK_ROWS) {
    const rows = min<usize>(BLOCK_ROWS, m - row)
    for (let column: usize = 0; column < n; column += BLOCK_COLUMNS) {
      const columns = min<usize>(BLOCK_COLUMNS, n - column)
      for (let step: usize = 0; step < k; step += BLOCK_DEPTH) {
        const depth = min<usize>(BLOCK_DEPTH, k - step)
        const aBlock = a + ((row * aRow + step * aColumn) << alignof<I>())
        const bBlock = b + ((step * bRow + column * bColumn) << alignof<I>())
        packPanels<I>(packedB, bBlock, bColumn, bRow, columns, depth, TILE_COLUMNS)
        packPanels<I>(packedA, aBlock, aRow, aColumn, rows, depth, TILE_ROWS)
        multiplyPanels(packedA, packedB, scratch, rows, columns, depth, step == 0)
      }
      const corner = out + ((row * outRow + column) << alignof<O>())
      const ofColumns = bias + (column << alignof<B>())
      storeBlock<O, B>(corner, outRow, scratch, BLOCK_COLUMNS, rows, columns, k == 0, alpha, beta, ofColumns, epilogue)
    }
  }
}

function multiplyPanels(
  packedA: usize,
  packedB: usize,
  sums: usize,
  rows: usize,
  columns: usize,
  depth: usize,
  fresh: bool,
): void {
  const stride: usize = BLOCK_COLUMNS * 4
  for (let column: usize = 0; column < columns; column += TILE_COLUMNS) {
    let panel = packedA
    for (let row: usize = 0; row < rows; row += TILE_ROWS) {
      multiplyTile(panel, packedB, sums + row * stride + (column << 2), stride, depth, fresh)
      panel += panelBytes(depth, TILE_ROWS)
    }
    packedB += panelBytes(depth, TILE_COLUMNS)
  }
}

// The micro kernel: a tile of the product that fits the vector registers, four or six rows by eight columns.

/** Rows of a tile. With a fused multiply-add no register holds a product, so that six rows fit. */
export const TILE_ROWS: usize = ASC_FEATURE_RELAXED_SIMD ? 6 : 4
/** Columns of a tile: two vectors. */
export const TILE_COLUMNS: usize = 8

/** a · b + c, fused where the build has it. */
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c)
}

/**
 * Multiplies a packed panel of rows by a packed panel of columns.
 * @param sums the place of the tile, `stride` bytes from a row to the next
 * @param fresh 1 to begin at zero, 0 to go on from what `sums` holds
 */
export function multiplyTile(rows: usize, columns: usize, sums: usize, stride: usize, depth: usize, fresh: bool): void {
  if (ASC_FEATURE_RELAXED_SIMD) multiplySixRows(rows, columns, sums, stride, depth, fresh)
  else multiplyFourRows(rows, columns, sums, stride, depth, fresh)
}

@inline
function multiplyFourRows(rows: usize, columns: usize, sums: usize, stride: usize, depth: usize, fresh: bool): void {
  let s00 = f32x4.splat(0)
  let s01 = s00
  let s10 = s00
  let s11 = s00
  let s20 = s00
  let s21 = s00
  let s30 = s00
  let s31 = s00
  const end = rows + depth * 16
  while (rows < end) {
    const left = v128.load(columns)
    const right = v128.load(columns, 16)
    let row = v128.load_splat<u32>(rows)
    s00 = multiplyAdd(row, left, s00)
    s01 = multiplyAdd(row, right, s01)
    row = v128.load_splat<u32>(rows, 4)
    s10 = multiplyAdd(row, left, s10)
    s11 = multiplyAdd(row, right, s11)
    row = v128.load_splat<u32>(rows, 8)
    s20 = multiplyAdd(row, left, s20)
    s21 = multiplyAdd(row, right, s21)
    row = v128.load_splat<u32>(rows, 12)
    s30 = multiplyAdd(row, left, s30)
    s31 = multiplyAdd(row, right, s31)
    rows += 16
    columns += 32
  }
  storeRow(sums, s00, s01, fresh)
  storeRow(sums + stride, s10, s11, fresh)
  storeRow(sums + 2 * stride, s20, s21, fresh)
  storeRow(sums + 3 * stride, s30, s31, fresh)
}

@inline
function multiplySixRows(rows: usize, columns: usize, sums: usize, stride: usize, depth: usize, fresh: bool): void {
  let s00 = f32x4.splat(0)
  let s01 = s00
  let s10 = s00
  let s11 = s00
  let s20 = s00
  let s21 = s00
  let s30 = s00
  let s31 = s00
  let s40 = s00
  let s41 = s00
  let s50 = s00
  let s51 = s00
  const end = rows + depth * 24
  while (rows < end) {
    const left = v128.load(columns)
    const right = v128.load(columns, 16)
    let row = v128.load_splat<u32>(rows)
    s00 = multiplyAdd(row, left, s00)
    s01 = multiplyAdd(row, right, s01)
    row = v128.load_splat<u32>(rows, 4)
    s10 = multiplyAdd(row, left, s10)
    s11 = multiplyAdd(row, right, s11)
    row = v128.load_splat<u32>(rows, 8)
    s20 = multiplyAdd(row, left, s20)
    s21 = multiplyAdd(row, right, s21)
    row = v128.load_splat<u32>(rows, 12)
    s30 = multiplyAdd(row, left, s30)
    s31 = multiplyAdd(row, right, s31)
    row = v128.load_splat<u32>(rows, 16)
    s40 = multiplyAdd(row, left, s40)
    s41 = multiplyAdd(row, right, s41)
    row = v128.load_splat<u32>(rows, 20)
    s50 = multiplyAdd(row, left, s50)
    s51 = multiplyAdd(row, right, s51)
    rows += 24
    columns += 32
  }
  storeRow(sums, s00, s01, fresh)
  storeRow(sums + stride, s10, s11, fresh)
  storeRow(sums + 2 * stride, s20, s21, fresh)
  storeRow(sums + 3 * stride, s30, s31, fresh)
  storeRow(sums + 4 * stride, s40, s41, fresh)
  storeRow(sums + 5 * stride, s50, s51, fresh)
}

@inline
function storeRow(sums: usize, left: v128, right: v128, fresh: bool): void {
  v128.store(sums, fresh ? left : f32x4.add(v128.load(sums), left))
  v128.store(sums, fresh ? right : f32x4.add(v128.load(sums, 16), right), 16)
}

// Few rows by a matrix that lies row by row: each of its rows, scaled, is added to the sums, four rows at a time.

import { FEW_ROWS_COLUMNS, FEW_ROWS_DEPTH } from "../blocks"
import { loadFour, loadOne } from "./element"
import { multiplyAdd } from "./micro"

/**
 * sums += left · b
 * @param sums [m][FEW_ROWS_COLUMNS]
 * @param left [m][FEW_ROWS_DEPTH]
 * @param bRow from a row of b to the next, in elements
 */
export function addScaledRows<T>(
  sums: usize,
  left: usize,
  b: usize,
  bRow: usize,
  m: usize,
  columns: usize,
  depth: usize,
): void {
  const bytes = bRow << alignof<T>()
  const whole = depth & ~3
  for (let step: usize = 0; step < whole; step += 4) {
    addFourRows<T>(sums, left + (step << 2), b, bytes, m, columns)
    b += 4 * bytes
  }
  for (let step = whole; step < depth; step++) {
    addElements<T>(sums, left + (step << 2), b, m, 0, columns)
    b += bytes
  }
}

function addFourRows<T>(sums: usize, left: usize, b: usize, bytes: usize, m: usize, columns: usize): void {
  const whole = columns & ~7
  const half: usize = 4 << alignof<T>()
  for (let column: usize = 0; column < whole; column += 8) {
    const source = b + (column << alignof<T>())
    const b00 = loadFour<T>(source)
    const b01 = loadFour<T>(source + half)
    const b10 = loadFour<T>(source + bytes)
    const b11 = loadFour<T>(source + bytes + half)
    const b20 = loadFour<T>(source + 2 * bytes)
    const b21 = loadFour<T>(source + 2 * bytes + half)
    const b30 = loadFour<T>(source + 3 * bytes)
    const b31 = loadFour<T>(source + 3 * bytes + half)
    let target = sums + (column << 2)
    let factors = left
    for (let row: usize = 0; row < m; row++) {
      let s0 = v128.load(target)
      let s1 = v128.load(target, 16)
      let factor = v128.load_splat<u32>(factors)
      s0 = multiplyAdd(factor, b00, s0)
      s1 = multiplyAdd(factor, b01, s1)
      factor = v128.load_splat<u32>(factors, 4)
      s0 = multiplyAdd(factor, b10, s0)
      s1 = multiplyAdd(factor, b11, s1)
      factor = v128.load_splat<u32>(factors, 8)
      s0 = multiplyAdd(factor, b20, s0)
      s1 = multiplyAdd(factor, b21, s1)
      factor = v128.load_splat<u32>(factors, 12)
      s0 = multiplyAdd(factor, b30, s0)
      s1 = multiplyAdd(factor, b31, s1)
      v128.store(target, s0)
      v128.store(target, s1, 16)
      target += FEW_ROWS_COLUMNS * 4
      factors += FEW_ROWS_DEPTH * 4
    }
  }
  for (let step: usize = 0; step < 4; step++) {
    addElements<T>(sums, left + (step << 2), b + step * bytes, m, whole, columns)
  }
}

/** The columns of one row of b from `first` on, one by one. */
function addElements<T>(sums: usize, left: usize, b: usize, m: usize, first: usize, columns: usize): void {
  for (let row: usize = 0; row < m; row++) {
    const factor = load<f32>(left + row * (FEW_ROWS_DEPTH * 4))
    for (let column = first; column < columns; column++) {
      const target = sums + ((row * FEW_ROWS_COLUMNS + column) << 2)
      store<f32>(target, load<f32>(target) + factor * loadOne<T>(b + (column << alignof<T>())))
    }
  }
}

// Few rows by a matrix that lies column by column: each sum is a dot product, four columns at a time.

import { FEW_ROWS_COLUMNS, FEW_ROWS_DEPTH } from "../blocks"
import { loadFour, loadOne } from "./element"
import { multiplyAdd } from "./micro"

/**
 * sums += left · b
 * @param sums [m][FEW_ROWS_COLUMNS]
 * @param left [m][FEW_ROWS_DEPTH]
 * @param bColumn from a column of b to the next, in elements
 */
export function addDotProducts<T>(
  sums: usize,
  left: usize,
  b: usize,
  bColumn: usize,
  m: usize,
  columns: usize,
  depth: usize,
): void {
  const bytes = bColumn << alignof<T>()
  for (let column: usize = 0; column < columns; column += 4) {
    const present = min<usize>(4, columns - column)
    for (let row: usize = 0; row < m; row++) {
      const target = sums + ((row * FEW_ROWS_COLUMNS + column) << 2)
      const factors = left + row * (FEW_ROWS_DEPTH * 4)
      if (present == 4) addFourColumns<T>(target, factors, b, bytes, depth)
      else for (let i: usize = 0; i < present; i++) addColumn<T>(target + (i << 2), factors, b + i * bytes, depth)
    }
    b += 4 * bytes
  }
}

function addFourColumns<T>(target: usize, left: usize, b: usize, bytes: usize, depth: usize): void {
  const whole = depth & ~3
  let s0 = f32x4.splat(0)
  let s1 = s0
  let s2 = s0
  let s3 = s0
  for (let step: usize = 0; step < whole; step += 4) {
    const factors = v128.load(left + (step << 2))
    const source = b + (step << alignof<T>())
    s0 = multiplyAdd(factors, loadFour<T>(source), s0)
    s1 = multiplyAdd(factors, loadFour<T>(source + bytes), s1)
    s2 = multiplyAdd(factors, loadFour<T>(source + 2 * bytes), s2)
    s3 = multiplyAdd(factors, loadFour<T>(source + 3 * bytes), s3)
  }
  addTotal<T>(target, s0, left, b, whole, depth)
  addTotal<T>(target + 4, s1, left, b + bytes, whole, depth)
  addTotal<T>(target + 8, s2, left, b + 2 * bytes, whole, depth)
  addTotal<T>(target + 12, s3, left, b + 3 * bytes, whole, depth)
}

function addColumn<T>(target: usize, left: usize, b: usize, depth: usize): void {
  const whole = depth & ~3
  let sum = f32x4.splat(0)
  for (let step: usize = 0; step < whole; step += 4) {
    sum = multiplyAdd(v128.load(left + (step << 2)), loadFour<T>(b + (step << alignof<T>())), sum)
  }
  addTotal<T>(target, sum, left, b, whole, depth)
}

/** Adds the four lanes, and the rest of the depth from `first` on, to the sum at `target`. */
@inline
function addTotal<T>(target: usize, lanes: v128, left: usize, b: usize, first: usize, depth: usize): void {
  let total = f32x4.extract_lane(lanes, 0) + f32x4.extract_lane(lanes, 1)
  total += f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3)
  for (let step = first; step < depth; step++) {
    total += load<f32>(left + (step << 2)) * loadOne<T>(b + (step << alignof<T>()))
  }
  store<f32>(target, load<f32>(target) + total)
}

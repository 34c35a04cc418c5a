// The last step of a product: from the float32 sums to the result.

import { loadFour, loadOne, storeFour, storeOne } from "./element"
import { AFTER_PRODUCT, finishFour, finishOne } from "./epilogue"
import { multiplyAdd } from "./micro"

/**
 * out = activation(alpha · sums + beta · out + bias). With beta 0 out is not read, so that NaN in it does not spread.
 * @param outStride from a row to the next, in elements; `sumsStride` likewise
 * @param empty the product had depth 0: the sums were never written and count as zero
 * @param bias of the first column; `epilogue` says whether there is one, and which activation
 */
export function storeBlock<O, B>(
  out: usize,
  outStride: usize,
  sums: usize,
  sumsStride: usize,
  rows: usize,
  columns: usize,
  empty: bool,
  alpha: f32,
  beta: f32,
  bias: usize,
  epilogue: u32,
): void {
  const isPlain = !(epilogue & AFTER_PRODUCT)
  const vectors = columns & ~3
  for (let row: usize = 0; row < rows; row++) {
    for (let column: usize = 0; column < vectors; column += 4) {
      const target = out + (column << alignof<O>())
      const sum = empty ? f32x4.splat(0) : f32x4.mul(v128.load(sums + (column << 2)), f32x4.splat(alpha))
      const kept = beta == 0 ? sum : multiplyAdd(loadFour<O>(target), f32x4.splat(beta), sum)
      storeFour<O>(target, isPlain ? kept : finishFour<B>(kept, bias + (column << alignof<B>()), epilogue))
    }
    for (let column = vectors; column < columns; column++) {
      const target = out + (column << alignof<O>())
      const sum: f32 = empty ? 0 : load<f32>(sums + (column << 2)) * alpha
      const kept: f32 = beta == 0 ? sum : loadOne<O>(target) * beta + sum
      storeOne<O>(target, isPlain ? kept : finishOne<B>(kept, bias + (column << alignof<B>()), epilogue))
    }
    out += outStride << alignof<O>()
    sums += sumsStride << 2
  }
}

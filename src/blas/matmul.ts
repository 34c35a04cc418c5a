import { checkProduct } from "./check.js"
import { multiplyByLibrary } from "./cuda.js"
import { multiplyOnHost } from "./host.js"
import type { MatmulDType, MatmulOptions } from "./options.js"

/**
 * Queues `out = alpha · a · b + beta · out` for row-major matrices without gaps.
 *
 * Products of 16-bit elements are added up in float32 and rounded once, to nearest. Longer arrays than the shape needs
 * are allowed. On host a product runs on one worker thread, so that another stream has the other cores.
 *
 * @throws AuxstreamError before anything is queued: AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH, AUX_LENGTH_MISMATCH,
 * AUX_OUT_OF_RANGE, AUX_INVALID_ARGUMENT (`out` shares memory with `a` or `b`, too) or AUX_DISPOSED
 * @example
 * matmul({ a: x, b: weights, out: y, m: tokens, n: 5632, k: 2048 })
 */
export function matmul<D extends MatmulDType>(options: MatmulOptions<D>): void {
  const product = checkProduct(options)
  if (product.m === 0 || product.n === 0 || product.count === 0) return
  const library = product.a.device.driver.products
  if (library === undefined) multiplyOnHost(product)
  else multiplyByLibrary(product, library)
}

import { checkProduct, checkTarget } from "./check.js"
import { multiplyByLibrary } from "./cuda.js"
import { multiplyOnHost } from "./host.js"
import { isNothing } from "./layout.js"
import type { MatmulDType, MatmulOptions } from "./options.js"

/**
 * Queues `out = activation(alpha · a · b + beta · out + bias)` for row-major matrices.
 *
 * Products of 16-bit and 8-bit elements are summed in float32, and each result is rounded once, to nearest. Arrays may be
 * longer than the shape needs. On host, a product runs on one worker thread, so that other streams can use the other cores.
 * On CUDA, cuBLASLt multiplies; the first product of a shape waits until the device is idle, unless {@link prepareMatmul}
 * has prepared it.
 *
 * @param options the matrices, their sizes, and the other options
 * @throws AuxstreamError before anything is queued: AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH, AUX_LENGTH_MISMATCH,
 * AUX_OUT_OF_RANGE, AUX_INVALID_ARGUMENT (also if `out` shares memory with an input), AUX_DISPOSED, AUX_NOT_READY,
 * AUX_DEVICE_UNAVAILABLE
 * @example
 * matmul({ a: x, b: weights, out: y, m: tokens, n: 5632, k: 2048, transposeB: true, bias, activation: "gelu" })
 */
export function matmul<D extends MatmulDType>(options: MatmulOptions<D>): void {
  const product = checkProduct(options)
  const target = checkTarget(options.stream, product.a)
  if (isNothing(product.layout)) return
  const library = product.a.device.driver.products
  if (library === undefined) multiplyOnHost(product, target)
  else multiplyByLibrary(product, target, library)
}

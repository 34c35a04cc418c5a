import type { DeviceArray } from "../runtime/device/device-array.js"
import type { Stream } from "../runtime/device/stream.js"
import { checkProduct } from "./check.js"
import { multiplyByLibrary } from "./cuda.js"
import { multiplyOnHost } from "./host.js"

/** The element types that are multiplied. */
export type MatmulDType = "float32" | "float16" | "bfloat16"

/** Several products of one shape, which lie evenly spaced in the three arrays. */
export interface MatmulBatch {
  /** How many. */
  readonly count: number
  /** From an `a` to the next, in elements. 0 uses the same one each time. */
  readonly strideA: number
  /** From a `b` to the next, in elements. 0 uses the same one each time. */
  readonly strideB: number
  /** From a result to the next, in elements: m · n at least. */
  readonly strideOut: number
}

/** What {@link matmul} takes. */
export interface MatmulOptions<D extends MatmulDType = MatmulDType> {
  /** The left matrix: m rows of k, or with `transposeA` k rows of m. */
  readonly a: DeviceArray<D>
  /** The right matrix, of the same dtype: k rows of n, or with `transposeB` n rows of k. */
  readonly b: DeviceArray<NoInfer<D>>
  /** The result: m rows of n, of the same dtype or of float32. Shares no memory with `a` and `b`. */
  readonly out: DeviceArray<NoInfer<D> | "float32">
  /** Rows of the result. */
  readonly m: number
  /** Columns of the result. */
  readonly n: number
  /** The shared dimension. 0 is a product of zeros. */
  readonly k: number
  /** Is `a` stored transposed? */
  readonly transposeA?: boolean | undefined
  /** Is `b` stored transposed, as the weights of a linear layer often are? */
  readonly transposeB?: boolean | undefined
  /** Scales the product. 1 unless given; with 0, `a` and `b` are not read. */
  readonly alpha?: number | undefined
  /** Scales what `out` held. 0 unless given; with 0, `out` is not read. */
  readonly beta?: number | undefined
  readonly batch?: MatmulBatch | undefined
  /** The current stream of the arrays' device unless given. */
  readonly stream?: Stream | undefined
}

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
  if (product.a.device.kind === "cuda") multiplyByLibrary(product)
  else multiplyOnHost(product)
}

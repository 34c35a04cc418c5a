import type { DeviceArray } from "../runtime/device/device-array.js"
import type { Stream } from "../runtime/device/stream.js"

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

/** What `matmul` takes. */
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

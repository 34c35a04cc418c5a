import type { ProductTypes } from "../common/dtype/product-types.js"
import type { DeviceArray } from "../runtime/device/array/device-array.js"
import type { Stream } from "../runtime/device/stream.js"

/** The dtypes of matrices that can be multiplied. */
export type MatmulDType = ProductTypes["inputs"]

/** The dtypes of a result, for the dtype of the inputs: the same or float32; for 8-bit inputs any wider one. */
export type MatmulOutDType<D extends MatmulDType = MatmulDType> = D extends "float8_e4m3fn"
  ? ProductTypes["output"]
  : D | "float32"

/** A function that is applied to each element of a result: `max(x, 0)`, or GELU in its tanh form. */
export type MatmulActivation = "relu" | "gelu"

/** Several products of the same shape at equal strides. */
export interface MatmulBatch {
  /** The number of products. */
  readonly count: number
  /** The distance from one `a` to the next, in elements. 0 uses the same `a` for every product. */
  readonly strideA: number
  /** The distance from one `b` to the next, in elements. 0 uses the same `b` for every product. */
  readonly strideB: number
  /** The distance from one result to the next, in elements. Results must not overlap. */
  readonly strideOut: number
}

/** The sizes of a product, and how its matrices are stored. */
export interface MatmulShape {
  /** Rows of the result. */
  readonly m: number
  /** Columns of the result. */
  readonly n: number
  /** The shared dimension. With 0, the product is zero. */
  readonly k: number
  /** Whether `a` is stored transposed. Default: false. */
  readonly transposeA?: boolean | undefined
  /** Whether `b` is stored transposed, as the weights of a linear layer often are. Default: false. */
  readonly transposeB?: boolean | undefined
  /** The distance from one stored row of `a` to the next, in elements. Default: the length of a row. */
  readonly ldA?: number | undefined
  /** The same for `b`. */
  readonly ldB?: number | undefined
  /** The same for `out`. Elements between rows are not written. */
  readonly ldOut?: number | undefined
  /** Several products of this shape in one call. Default: one product. */
  readonly batch?: MatmulBatch | undefined
}

/** One product of {@link matmulGrouped}: the options of {@link matmul}, except the stream. */
export interface GroupedProduct<D extends MatmulDType = MatmulDType> extends MatmulShape {
  /** The left matrix: m rows of k elements, or k rows of m with `transposeA`. */
  readonly a: DeviceArray<D>
  /** The right matrix, of the same dtype: k rows of n elements, or n rows of k with `transposeB`. */
  readonly b: DeviceArray<NoInfer<D>>
  /** The result: m rows of n elements, of the same dtype or float32. Must not share memory with anything that is read. */
  readonly out: DeviceArray<MatmulOutDType<NoInfer<D>>>
  /** The factor of the product. Default: 1. With 0, `a` and `b` are not read. */
  readonly alpha?: number | undefined
  /** The factor of the previous contents of `out`. Default: 0. With 0, `out` is not read. */
  readonly beta?: number | undefined
  /**
   * n elements, which are added to each row: of the dtype of `out`, or of bfloat16 for 8-bit inputs and a float32 result.
   */
  readonly bias?: DeviceArray<ProductTypes["bias"]> | undefined
  /** Applied last. */
  readonly activation?: MatmulActivation | undefined
  /** For 8-bit inputs: one number, by which all of `a` is multiplied. Default: 1. */
  readonly scaleA?: DeviceArray<"float32"> | undefined
  /** The same for `b`. */
  readonly scaleB?: DeviceArray<"float32"> | undefined
}

/** The options of {@link matmul}. */
export interface MatmulOptions<D extends MatmulDType = MatmulDType> extends GroupedProduct<D> {
  /** Default: the current stream of the arrays' device. */
  readonly stream?: Stream | undefined
}

/** The options of {@link matmulGrouped}. */
export interface GroupedOptions {
  /** Default: the current stream of the arrays' device. */
  readonly stream?: Stream | undefined
}

/** The shape, dtypes and options of the products that {@link prepareMatmul} prepares for. */
export interface PreparedMatmul<D extends MatmulDType = MatmulDType> extends MatmulShape {
  /** The dtype of `a` and `b`. */
  readonly dtype: D
  /** The dtype of `out`. Default: that of the inputs; float32 for 8-bit inputs. */
  readonly outDtype?: MatmulOutDType<NoInfer<D>> | undefined
  /** It only matters whether this is 0. Default: 0. */
  readonly beta?: number | undefined
  /** Whether a bias will be given. Default: false. */
  readonly bias?: boolean | undefined
  /** The activation of the products. Default: none. */
  readonly activation?: MatmulActivation | undefined
  /**
   * The alignment of all addresses, in bytes: a power of two. Default: 16. New arrays have at least that; views and
   * wrapped memory may have less.
   */
  readonly alignment?: number | undefined
}

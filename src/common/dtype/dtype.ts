/** The type of an array's elements, with PyTorch's names. */
export type DType =
  | "float16"
  | "bfloat16"
  | "float32"
  | "float64"
  | "float8_e4m3fn"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"

/** The typed array for each dtype on the host. `float16`, `bfloat16` and `float8_e4m3fn` are bit patterns. */
export interface TypedArrays<B extends ArrayBufferLike = ArrayBufferLike> {
  float16: Uint16Array<B>
  bfloat16: Uint16Array<B>
  float32: Float32Array<B>
  float64: Float64Array<B>
  float8_e4m3fn: Uint8Array<B>
  int8: Int8Array<B>
  uint8: Uint8Array<B>
  int16: Int16Array<B>
  uint16: Uint16Array<B>
  int32: Int32Array<B>
  uint32: Uint32Array<B>
  int64: BigInt64Array<B>
  uint64: BigUint64Array<B>
}

/** The typed array that holds elements of a dtype. */
export type TypedArrayOf<D extends DType, B extends ArrayBufferLike = ArrayBufferLike> = {
  [K in D]: TypedArrays<B>[K]
}[D]

/** The JavaScript type of a scalar of a dtype. */
export type ScalarOf<D extends DType> = D extends "int64" | "uint64" ? bigint | number : number

/** Any typed array whose elements have a dtype. */
export type TypedArray = TypedArrays[DType]

/** A `Float16Array`, which Node.js has since version 24. */
export interface Float16Elements extends ArrayBufferView {
  /** Tells it from other typed arrays. */
  readonly [Symbol.toStringTag]: "Float16Array"
  /** The number of elements. */
  readonly length: number
}

/** What can be copied to an array of a dtype: its typed array or, for float16, also a `Float16Array`. */
export type SourceOf<D extends DType> = TypedArrayOf<D> | (D extends "float16" ? Float16Elements : never)

/** The dtype of a typed array, unless the caller names another. */
export type DTypeOf<A extends TypedArray | Float16Elements> = A extends Float32Array
  ? "float32"
  : A extends Float64Array
    ? "float64"
    : A extends Int8Array
      ? "int8"
      : A extends Uint8Array
        ? "uint8"
        : A extends Int16Array
          ? "int16"
          : A extends Uint16Array
            ? "uint16"
            : A extends Int32Array
              ? "int32"
              : A extends Uint32Array
                ? "uint32"
                : A extends BigInt64Array
                  ? "int64"
                  : A extends BigUint64Array
                    ? "uint64"
                    : A extends Float16Elements
                      ? "float16"
                      : never

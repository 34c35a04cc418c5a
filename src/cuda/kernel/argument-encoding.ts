/** How the arguments of a launch are written. Must agree with what nvcc compiles. */
import type { DType } from "../../common/dtype/dtype.js"
import type { Primitive } from "../../common/struct/layout.js"

/** How an argument is written into a launch's argument block. */
export const POINTER = 0
export const INT32 = 1
export const INT64 = 2
export const FLOAT16 = 3
export const BFLOAT16 = 4
export const FLOAT32 = 5
export const FLOAT64 = 6
export const FLOAT8 = 7

const SCALARS: Readonly<Record<DType, number>> = {
  float16: FLOAT16,
  bfloat16: BFLOAT16,
  float32: FLOAT32,
  float64: FLOAT64,
  float8_e4m3fn: FLOAT8,
  // Little-endian: the low bytes of the 32-bit number are the smaller number.
  int8: INT32,
  uint8: INT32,
  int16: INT32,
  uint16: INT32,
  int32: INT32,
  uint32: INT32,
  int64: INT64,
  uint64: INT64,
}

/** The encoding of each argument. */
export function encodings(primitives: readonly Primitive[]): Uint8Array {
  return Uint8Array.from(primitives, ({ dtype, access }) => (access === undefined ? SCALARS[dtype] : POINTER))
}

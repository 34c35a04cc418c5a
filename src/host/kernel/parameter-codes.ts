import type { DType } from "../../common/dtype/dtype.js"
import type { Primitive } from "../../common/struct/layout.js"

/**
 * How arguments are encoded in a launch command: one code per primitive. A pointer takes two words (address, length), a
 * 64-bit scalar two, and any other scalar one.
 */
export const POINTER = 16
export const FLOAT16 = 0
export const BFLOAT16 = 1
export const FLOAT32 = 2
export const FLOAT64 = 3
export const INT8 = 4
export const UINT8 = 5
export const INT16 = 6
export const UINT16 = 7
export const INT32 = 8
export const UINT32 = 9
export const INT64 = 10
export const UINT64 = 11
export const FLOAT8 = 12

const SCALARS: Readonly<Record<DType, number>> = {
  float16: FLOAT16,
  bfloat16: BFLOAT16,
  float32: FLOAT32,
  float64: FLOAT64,
  float8_e4m3fn: FLOAT8,
  int8: INT8,
  uint8: UINT8,
  int16: INT16,
  uint16: UINT16,
  int32: INT32,
  uint32: UINT32,
  int64: INT64,
  uint64: UINT64,
}

/** The code of a parameter: the code of its dtype, plus {@link POINTER} for an array. */
export function parameterCode({ dtype, access }: Primitive): number {
  return SCALARS[dtype] + (access === undefined ? 0 : POINTER)
}

/** The code of a parameter. The one cast of an index that its list has. The engine inlines the call. */
export function codeAt(codes: readonly number[], index: number): number {
  return codes[index] as number
}

/** Words of an argument with that code. */
export function argumentWords(code: number): number {
  return code >= POINTER || code === FLOAT64 || code === INT64 || code === UINT64 ? 2 : 1
}

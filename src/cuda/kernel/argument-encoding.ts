/** The size of each parameter of a signature, and how its argument is written. Must agree with what nvcc compiles. */
import type { DType } from "../../common/dtype/dtype.js"
import type { KernelParameter } from "../../driver.js"

/** How an argument is written into a launch's argument block. */
export const POINTER = 0
export const INT32 = 1
export const INT64 = 2
export const FLOAT16 = 3
export const BFLOAT16 = 4
export const FLOAT32 = 5
export const FLOAT64 = 6
export const FLOAT8 = 7

const SCALARS: Readonly<Record<DType, readonly [encoding: number, byteLength: number]>> = {
  float16: [FLOAT16, 2],
  bfloat16: [BFLOAT16, 2],
  float32: [FLOAT32, 4],
  float64: [FLOAT64, 8],
  float8_e4m3fn: [FLOAT8, 1],
  // Little-endian: the low bytes of the 32-bit number are the smaller number.
  int8: [INT32, 1],
  uint8: [INT32, 1],
  int16: [INT32, 2],
  uint16: [INT32, 2],
  int32: [INT32, 4],
  uint32: [INT32, 4],
  int64: [INT64, 8],
  uint64: [INT64, 8],
}

const POINTER_BYTES = 8

/** The encoding of each parameter. */
export function encodings(parameters: readonly KernelParameter[]): Uint8Array {
  return Uint8Array.from(parameters, ({ dtype, access }) => (access === undefined ? SCALARS[dtype][0] : POINTER))
}

/** The size in bytes that the kernel's code must have for a parameter. */
export function parameterBytes({ dtype, access }: KernelParameter): number {
  return access === undefined ? SCALARS[dtype][1] : POINTER_BYTES
}

/** A parameter as it is written in the signature. */
export function parameterText({ dtype, access }: KernelParameter): string {
  return access === undefined ? dtype : `${access} ${dtype}*`
}

/**
 * NaNs with a payload. Arithmetic makes NaNs without one and only passes on those that it is given, so a kernel writes such a
 * NaN only if it reads one. A 16-bit pattern is one of few hundred of these: it can be mistaken for a result then.
 */
import type { DType } from "../../common/dtype/dtype.js"
import type { DeviceMemory } from "../control/memory.js"

/** How NaNs look in the unit of an element that has its exponent: the exponent's bits, and those of the payload. */
interface NanFormat {
  readonly width: 2 | 4
  /** Units of an element. The exponent is in the last one. */
  readonly count: 1 | 2
  readonly exponent: number
  readonly payload: number
}

function formatOf(dtype: DType): NanFormat | undefined {
  if (dtype === "float16") return { width: 2, count: 1, exponent: 0x7c00, payload: 0x1ff }
  if (dtype === "bfloat16") return { width: 2, count: 1, exponent: 0x7f80, payload: 0x3f }
  if (dtype === "float32") return { width: 4, count: 1, exponent: 0x7f800000, payload: 0x3fffff }
  if (dtype === "float64") return { width: 4, count: 2, exponent: 0x7ff00000, payload: 0x7ffff }
  return undefined
}

/** Whether one of the elements from address `begin` up to `end` may be a NaN with a payload. */
export function hasOddNan(memory: DeviceMemory, dtype: DType, begin: number, end: number): boolean {
  const format = formatOf(dtype)
  if (format === undefined || begin === end) return false
  const { width, count, exponent, payload } = format
  if (begin % width !== 0) return true
  const { buffer } = memory.reaching(end)
  const length = (end - begin) / width
  const units = width === 2 ? new Uint16Array(buffer, begin, length) : new Uint32Array(buffer, begin, length)
  for (let index = count - 1; index < length; index += count) {
    const unit = units[index] ?? 0
    if ((unit & exponent) === exponent && (unit & payload) !== 0) return true
  }
  return false
}

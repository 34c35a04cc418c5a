/**
 * What the elements of an `out` argument contain while the sanitizer watches which of them a kernel writes. An element with
 * this pattern afterwards was not written. So the pattern must be one that no kernel writes: a NaN with a random payload,
 * which no arithmetic makes, or a random integer of at least 32 bits. Narrower integers have too few values to choose one:
 * they are not watched.
 */
import type { DType } from "../../common/dtype/dtype.js"

/** The pattern of one element: `count` equal units. */
export interface Pattern {
  readonly unit: number
  /** Bytes of a unit. */
  readonly width: 2 | 4
  readonly count: 1 | 2
}

/** A new pattern for elements of a dtype; undefined if there is none. */
export function patternFor(dtype: DType): Pattern | undefined {
  switch (dtype) {
    case "float16":
      return { unit: sign(16) + 0x7e00 + upTo(9), width: 2, count: 1 }
    case "bfloat16":
      return { unit: sign(16) + 0x7fc0 + upTo(6), width: 2, count: 1 }
    case "float32":
      return { unit: sign(32) + 0x7fc00000 + upTo(22), width: 4, count: 1 }
    case "float64":
      return { unit: sign(32) + 0x7ff80000 + upTo(19), width: 4, count: 2 }
    case "int32":
    case "uint32":
      return { unit: sign(32) + 0x40000000 + upTo(30), width: 4, count: 1 }
    case "int64":
    case "uint64":
      return { unit: sign(32) + 0x40000000 + upTo(30), width: 4, count: 2 }
    case "int8":
    case "uint8":
    case "int16":
    case "uint16":
    case "float8_e4m3fn":
      return undefined
  }
}

function sign(bits: number): number {
  return Math.random() < 0.5 ? 0 : 2 ** (bits - 1)
}

/** A random number above 0 of at most so many bits. */
function upTo(bits: number): number {
  return 1 + Math.floor(Math.random() * (2 ** bits - 1))
}

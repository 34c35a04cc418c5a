/** Writes the words of a checked launch, which `../checked-kernel/check-words.ts` describes. */
import { elementsOf } from "../../common/dtype/elements.js"
import type { FlatPrimitive } from "../../common/struct/flat.js"
import type { ByteRange } from "../../driver/checks.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { LAUNCH_WORDS, wordAt } from "../control/layout.js"
import {
  BESIDE,
  CHECK_WORDS,
  HOW,
  KIND_OF_RANGE_BITS,
  RANGE_COUNT,
  RANGE_WORDS,
  SITE,
} from "../checked-kernel/check-words.js"
import { argumentWords, parameterCode } from "../kernel/parameter-codes.js"
import type { HostMemory } from "../memory/host-memory.js"

/** A range with its kind. */
export interface CheckedRange extends ByteRange {
  readonly kind: number
}

/** An array among the arguments of a launch. */
interface ArrayArgument extends ByteRange {
  readonly parameter: number
}

export function checkWords(how: number, site: number, ranges: readonly CheckedRange[]): Int32Array {
  const words = new Int32Array(CHECK_WORDS + RANGE_WORDS * ranges.length)
  words[HOW] = how
  words[SITE] = site
  words[RANGE_COUNT] = ranges.length
  for (const [index, { kind, address, byteLength }] of ranges.entries()) {
    words.set([kind, address, byteLength], CHECK_WORDS + RANGE_WORDS * index)
  }
  return words
}

/** The arrays of a launch that is about to be queued. */
export function arraysIn(args: readonly KernelArgument[], primitives: readonly FlatPrimitive[]): ArrayArgument[] {
  return primitives.flatMap(({ dtype }, parameter) => {
    const argument = args[parameter]
    if (typeof argument !== "object" || argument.length === 0) return []
    return [{ parameter, address: argument.address, byteLength: argument.length * elementsOf(dtype).byteLength }]
  })
}

/** The arrays of the launch command at an index. */
export function arraysAt(words: Int32Array, at: number, primitives: readonly FlatPrimitive[]): ArrayArgument[] {
  let next = at + LAUNCH_WORDS
  return primitives.flatMap((primitive, parameter) => {
    const word = next
    next += argumentWords(parameterCode(primitive))
    const length = primitive.access === undefined ? 0 : wordAt(words, word + 1) >>> 0
    if (length === 0) return []
    const byteLength = length * elementsOf(primitive.dtype).byteLength
    return [{ parameter, address: wordAt(words, word) >>> 0, byteLength }]
  })
}

/** The memory beside arrays that belongs to nobody: the bytes after and before the allocation of each. */
export function besideArrays(arrays: readonly ArrayArgument[], memory: Pick<HostMemory, "around">): CheckedRange[] {
  const seen = new Set<number>()
  return arrays.flatMap(({ parameter, address }) => {
    const area = memory.around(address)
    if (area === undefined || seen.has(area.begin)) return []
    seen.add(area.begin)
    const kind = BESIDE | (parameter << KIND_OF_RANGE_BITS)
    return [
      { kind, address: area.outerBegin, byteLength: area.begin - area.outerBegin },
      { kind, address: area.end, byteLength: area.outerEnd - area.end },
    ].filter(({ byteLength }) => byteLength > 0)
  })
}

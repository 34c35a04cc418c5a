/** Runs the command that compares memory with an earlier copy of it. `layout.ts` describes its words. */
import { wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import { BREAKS } from "../checked-kernel/check-words.js"
import { differing } from "../checked-kernel/saved-bytes.js"
import type { Violation } from "../kernel/violations.js"

/** @returns the violation if the memory has changed since the copy was made. Its bytes count from where the range begins */
export function compare(memory: DeviceMemory, words: Int32Array, read: number): Violation | undefined {
  const address = wordAt(words, read + 1) >>> 0
  const copy = wordAt(words, read + 2) >>> 0
  const byteLength = wordAt(words, read + 3) >>> 0
  const bytes = memory.reaching(Math.max(address, copy) + byteLength)
  const now = bytes.subarray(address, address + byteLength)
  const changed = differing(now, bytes.subarray(copy, copy + byteLength), 0)
  if (changed === undefined) return undefined
  // A later comparison with the same copy must find later changes only.
  bytes.copyWithin(copy, address, address + byteLength)
  return { kind: "changed", argument: undefined, ...changed, width: undefined, site: wordAt(words, read + 4) }
}

/** Whether a violation breaks the stream. */
export function breaksBy(words: Int32Array, read: number): boolean {
  return (wordAt(words, read + 5) & BREAKS) !== 0
}

/** The elements of an `out` argument that a checked launch watches: which of them does the kernel write? */
import type { DeviceMemory } from "../control/memory.js"
import type { Pattern } from "./patterns.js"
import type { SavedBytes } from "./saved-bytes.js"

/** Whole elements, from address `begin` up to `end`. */
export interface WatchedElements {
  readonly begin: number
  readonly end: number
  readonly pattern: Pattern
  /** Where their contents are saved. */
  readonly at: number
}

/** Fills the elements with their pattern. They must have been saved. */
export function watch(memory: DeviceMemory, elements: WatchedElements): void {
  unitsOf(memory, elements).fill(elements.pattern.unit)
}

/**
 * Restores the elements that still have their pattern.
 *
 * @returns the part from the first to the last of these; undefined if there is none
 */
export function restoreUnwritten(
  memory: DeviceMemory,
  elements: WatchedElements,
  saved: SavedBytes,
): { begin: number; end: number } | undefined {
  const { begin, at, pattern } = elements
  const { count, width, unit } = pattern
  const units = unitsOf(memory, elements)
  const { length } = units
  let first = -1
  let last = -1
  for (let index = 0, run = -1; index <= length; index += count) {
    const isUnwritten = index < length && units[index] === unit && units[index + count - 1] === unit
    if (isUnwritten && run < 0) run = index
    if (isUnwritten || run < 0) continue
    saved.restore(at + run * width, { begin: begin + run * width, end: begin + index * width })
    if (first < 0) first = run
    last = index
    run = -1
  }
  return first < 0 ? undefined : { begin: begin + first * width, end: begin + last * width }
}

function unitsOf(memory: DeviceMemory, { begin, end, pattern }: WatchedElements): Uint16Array | Uint32Array {
  const { buffer } = memory.reaching(end)
  if (pattern.width === 2) return new Uint16Array(buffer, begin, (end - begin) / 2)
  return new Uint32Array(buffer, begin, (end - begin) / 4)
}

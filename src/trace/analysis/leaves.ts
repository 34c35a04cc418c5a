/**
 * The operations that count. A graph's launch is left out if its nodes are known, because it covers the pauses between them, and
 * hides their overlap.
 */
import type { TraceData, TraceSpan } from "../data/data.js"

/** An operation with its index in the data. */
export interface Leaf extends TraceSpan {
  readonly index: number
}

/** The operations in the order of their starts. */
export function leavesOf({ spans }: Pick<TraceData, "spans">): Leaf[] {
  const parents = new Set<number>()
  for (const { parent } of spans) if (parent !== undefined) parents.add(parent)
  const leaves: Leaf[] = []
  for (const [index, span] of spans.entries()) if (!parents.has(index)) leaves.push({ ...span, index })
  return leaves.toSorted((a, b) => a.start - b.start || a.end - b.end)
}

/** Groups values, in the order in which their groups first appear. */
export function groupBy<T, K>(values: readonly T[], keyOf: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const value of values) {
    const key = keyOf(value)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [value])
    else group.push(value)
  }
  return groups
}

/** The lower middle value; 0 if there is none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >>> 1] ?? 0
}

/** The chain of operations and pauses, backwards from one operation's end, in which each one determined when the next began. */
import type { TraceCall } from "../data/data.js"
import type { Leaf } from "./leaves.js"
import type { Readinesses } from "./readiness.js"

/** The time from a beginning to an operation's end, split along the path. The parts add up to the whole. */
export interface Path {
  /** The operations, the first one first. */
  readonly leaves: readonly Leaf[]
  /** Time in operations, the host's time until it had queued the next one, launch latency, and time beyond that. */
  readonly operations: number
  readonly host: number
  readonly latency: number
  readonly unexplained: number
}

/**
 * Follows the path that ended with `last` back to `begin`.
 *
 * @param wasBlocked the operation for which the host waited last before a time, if any
 */
export function pathTo(
  last: Leaf,
  begin: number,
  readinesses: Readinesses,
  wasBlocked: (time: number) => Leaf | undefined,
): Path {
  const leaves: Leaf[] = []
  const time = { operations: 0, host: 0, latency: 0, unexplained: 0 }
  let end = last.end
  let leaf: Leaf | undefined = last
  while (leaf !== undefined && leaf.start < end && end > begin) {
    leaves.push(leaf)
    const start = Math.max(begin, leaf.start)
    time.operations += end - start
    end = start
    if (end === begin) break
    const { queued, previous, waited, ready } = readinesses.of(leaf)
    const pause = end - Math.max(begin, ready)
    time.latency += Math.min(pause, readinesses.latency)
    time.unexplained += Math.max(0, pause - readinesses.latency)
    const before: Leaf | undefined = later(previous, waited?.leaf)
    const isHeldUpByHost = before === undefined || queued > before.end
    const next: Leaf | undefined = isHeldUpByHost ? later(before, wasBlocked(queued)) : before
    const released = Math.max(begin, Math.min(end - pause, next?.end ?? begin))
    time.host += end - pause - released
    end = released
    leaf = next
  }
  time.host += Math.max(0, end - begin)
  return { leaves: leaves.toReversed(), ...time }
}

function later(a: Leaf | undefined, b: Leaf | undefined): Leaf | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return b.end > a.end ? b : a
}

/** Finds the operation for which the host waited last: the last one that ended before the end of the last waiting call. */
export function blocking(calls: readonly TraceCall[], leaves: readonly Leaf[]): (time: number) => Leaf | undefined {
  const waiting = calls
    .filter(({ name }) => name === "synchronize" || name === "read" || name === "completed")
    .toSorted((a, b) => a.end - b.end)
  const ends = leaves.toSorted((a, b) => a.end - b.end)
  return (time) => {
    const call = waiting[countUntil(waiting, time) - 1]
    return call && ends[countUntil(ends, call.end) - 1]
  }
}

/** How many of some intervals, sorted by their ends, ended by then. */
function countUntil(sorted: readonly { readonly end: number }[], time: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle]?.end ?? Infinity) <= time) low = middle + 1
    else high = middle
  }
  return low
}

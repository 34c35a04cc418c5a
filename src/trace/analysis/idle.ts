/** Why nothing ran: splits the pauses of a device by what held up the operation that ended each of them. */
import type { DeviceFigures } from "../data/figures.js"
import { gapsOf } from "./intervals.js"
import type { Leaf } from "./leaves.js"
import type { Readinesses } from "./readiness.js"

/** @param leaves the operations of one device, in the order of their starts */
export function idleOf(leaves: readonly Leaf[], readinesses: Readinesses): DeviceFigures["idle"] {
  const idle = { host: 0, gaps: 0, waits: 0, unexplained: 0 }
  let next = 0
  for (const { start, end } of gapsOf(leaves)) {
    while ((leaves[next]?.start ?? Infinity) < end) next++
    const leaf = leaves[next]
    if (leaf === undefined) break
    const { queued, waited, ready } = readinesses.of(leaf)
    const host = clamp(queued, start, end) - start
    const wait = Math.max(0, clamp(waited?.time ?? 0, start, end) - start - host)
    const pause = end - start - host - wait
    const late = Math.min(pause, Math.max(0, end - Math.max(start, ready) - readinesses.latency))
    idle.host += host
    idle.waits += wait
    idle.unexplained += late
    idle.gaps += pause - late
  }
  return idle
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}

/**
 * Loops in graphs whose iterations are not all recorded: CUPTI tells about the last one. The others ran before it.
 */
import type { GraphOutline } from "../../runtime/order/observer/graph-outline.js"
import { gapsOf, type Interval } from "../analysis/intervals.js"

const known = new WeakMap<GraphOutline, boolean>()

/** Whether a graph repeats some of its nodes. */
export function hasLoop(outline: GraphOutline): boolean {
  const has =
    known.get(outline) ??
    outline.operations.some(({ label, part, kind }) => {
      return part !== undefined && ((kind === "conditional" && label === "while") || hasLoop(part))
    })
  known.set(outline, has)
  return has
}

/** A node of a launch as it was recorded. `isInside`: in the body of a conditional, or in another graph inside. */
export interface RecordedNode extends Interval {
  readonly stream: number
  readonly isInside: boolean
}

/** Nanoseconds: about what the shortest iteration takes on an H200. */
const SHORTEST = 5000

/**
 * When iterations ran that were not recorded, and on which stream: before the first node of the recorded iteration. Shorter pauses are
 * those that conditionals need.
 */
export function otherIterations(nodes: readonly RecordedNode[]): (Interval & { stream: number })[] {
  const pauses = gapsOf(nodes).filter(({ start, end }) => end - start >= SHORTEST)
  return pauses.flatMap((pause) => {
    const first = nodes.find(({ isInside, start }) => isInside && start === pause.end)
    return first === undefined ? [] : [{ ...pause, stream: first.stream }]
  })
}

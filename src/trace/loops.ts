/**
 * Loops in graphs whose iterations are not all recorded: CUPTI tells about one. The time of the others is known, because the whole
 * launch is timed by events, too: it is what lies beside the recorded iteration.
 */
import type { GraphOutline } from "../runtime/order/observer/graph-outline.js"
import { gapsOf, type Interval } from "./analysis/intervals.js"

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

/** A node of a launch as it was recorded. `body` tells the bodies of conditionals apart; undefined for the launched graph's own. */
export interface RecordedNode extends Interval {
  readonly stream: number
  readonly body: number | undefined
}

/**
 * When iterations ran that were not recorded, and on which stream: in the longest pause beside the recorded iteration. A pause that is
 * shorter than half of that is none.
 */
export function otherIterations(launch: Interval, nodes: readonly RecordedNode[]): (Interval & { stream: number })[] {
  const end = { start: launch.end, end: launch.end + 1 }
  const pauses = gapsOf([...nodes, end])
  return bodiesOf(nodes).flatMap(({ first, last }) => {
    const beside = pauses.filter((pause) => pause.start === last.end || pause.end === first.start)
    const [longest] = beside.toSorted((a, b) => lengthOf(b) - lengthOf(a))
    if (longest === undefined || lengthOf(longest) < (last.end - first.start) / 2) return []
    return [{ ...longest, stream: longest.start === last.end ? last.stream : first.stream }]
  })
}

function lengthOf({ start, end }: Interval): number {
  return end - start
}

/** For each body, the nodes that began first and ended last. */
function bodiesOf(nodes: readonly RecordedNode[]): { first: RecordedNode; last: RecordedNode }[] {
  const bodies = new Map<number, { first: RecordedNode; last: RecordedNode }>()
  for (const node of nodes) {
    if (node.body === undefined) continue
    const body = bodies.get(node.body)
    if (body === undefined) {
      bodies.set(node.body, { first: node, last: node })
      continue
    }
    if (node.start < body.first.start) body.first = node
    if (node.end > body.last.end) body.last = node
  }
  return [...bodies.values()]
}

import type { Branch, CapturedPoint } from "../queue/branch.js"
import type { BranchBlock } from "./branch-block.js"
import type { HostGraph } from "./graph.js"
import { PUBLISH, TIME_WORDS, wordAt } from "../control/layout.js"
import { type CommandRange, inSequence, isWait } from "../queue/sequence.js"

/** A branch of the launched graph, and what of it has been captured again. */
interface Part extends CommandRange {
  readonly branch: Branch
  /** How many commands have been captured. */
  count: number
  /** The records after those commands that other branches wait for. */
  readonly points: (CapturedPoint | undefined)[]
  readonly calls: readonly number[]
}

/**
 * Captures the launch of a graph by copying its current commands. Its branches stay parallel.
 *
 * @param words the control memory, which holds the graph's blocks
 * @param first the branch of the stream that it is launched on; it gets the commands of the graph's first branch
 */
export function captureLaunch(graph: HostGraph, words: Int32Array, first: Branch): void {
  const partOf = ({ block, length, level, calls }: BranchBlock, place: number): Part => {
    const branch = place === 0 ? first : first.helper(place, level)
    return { branch, words, start: block + TIME_WORDS, end: block + length, count: 0, points: [], calls }
  }
  const parts = graph.branches.map(partOf)
  const { list } = first
  const base = list.count
  const launch = first.record()
  inSequence(parts, (part, start, end, last) => {
    const { branch, points } = part
    part.count++
    if (isWait(words, start)) {
      const awaited = parts[wordAt(words, start + 1)]?.points[wordAt(words, start + 2)]
      if (awaited !== undefined) branch.waitFor(awaited)
    } else {
      // A branch that begins with a wait is ordered after the launch by that wait.
      if (part.count === 1) branch.waitFor(launch)
      branch.append(words.subarray(start, end), last - start, base + (part.calls[part.count - 1] ?? 0))
    }
    if ((wordAt(words, last) & PUBLISH) !== 0) points[part.count] = branch.record()
  })
  list.count = base + parts.reduce((sum, { calls }) => sum + calls.filter((call) => call >= 0).length, 0)
}

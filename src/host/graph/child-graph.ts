import type { Branch, CapturedPoint } from "../queue/branch.js"
import type { BranchBlock } from "./branch-block.js"
import type { HostGraph } from "./graph.js"
import { PUBLISH, TIME_WORDS, wordAt } from "../control/layout.js"
import { type CommandRange, inSequence, isWait } from "../queue/sequence.js"

/** A branch of the graph that is launched, and what of it has been captured once more. */
interface Part extends CommandRange {
  readonly branch: Branch
  /** How many of its commands. */
  count: number
  /** The points behind commands that other branches wait for. */
  readonly points: (CapturedPoint | undefined)[]
}

/**
 * Captures the launch of a graph: its commands as they are now, its branches beside each other as in the graph itself.
 *
 * @param words the control memory, where the graph's blocks are
 * @param first what captures the stream that it is launched on, and now the graph's first branch
 */
export function captureLaunch(graph: HostGraph, words: Int32Array, first: Branch): void {
  const partOf = ({ block, length, level }: BranchBlock, place: number): Part => {
    const branch = place === 0 ? first : first.helper(place, level)
    return { branch, words, start: block + TIME_WORDS, end: block + length, count: 0, points: [] }
  }
  const parts = graph.branches.map(partOf)
  const launch = first.record()
  inSequence(parts, (part, start, end, last) => {
    const { branch, points } = part
    part.count++
    if (isWait(words, start)) {
      const awaited = parts[wordAt(words, start + 1)]?.points[wordAt(words, start + 2)]
      if (awaited !== undefined) branch.waitFor(awaited)
    } else {
      // What begins with a wait is behind the launch by what it waits for.
      if (part.count === 1) branch.waitFor(launch)
      branch.append(words.subarray(start, end), last - start)
    }
    if ((wordAt(words, last) & PUBLISH) !== 0) points[part.count] = branch.record()
  })
}

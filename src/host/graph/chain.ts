/**
 * A graph's commands as one branch, in the order in which they were captured and so without waits. It must only be made of
 * a graph without conditionals.
 */
import { PUBLISH, wordAt } from "../control/layout.js"
import { MOST_BRANCHES } from "../queue/branch.js"
import { type CommandRange, forEachCommand, inSequence, isWait } from "../queue/sequence.js"
import type { BranchSource } from "./branch-block.js"

/** A branch that becomes part of a chain. */
export interface ChainedBranch extends CommandRange {
  readonly level: number
  /** For each position, the number of its command among those of all branches, in the order of the calls. */
  readonly calls: readonly number[]
}

/** A chain, and the position there of each command, by what `nodeAt` gives for its place in the branches. */
export interface Chain {
  readonly source: BranchSource
  readonly places: ReadonlyMap<number, number>
}

interface Piece {
  readonly commands: Int32Array
  /** The index in `commands` of the command that positions count. */
  readonly last: number
  readonly node: number
  readonly call: number
}

/** The handle of the operation at a position of a branch. */
export function nodeAt(branch: number, position: number): number {
  return branch + MOST_BRANCHES * position
}

/** Chains the commands of branches. */
export function chainOf(branches: readonly ChainedBranch[]): Chain {
  const pieces = piecesOf(branches)
  const words = new Int32Array(pieces.reduce((sum, { commands }) => sum + commands.length, 0))
  let end = 0
  for (const { commands, last } of pieces) {
    words.set(commands, end)
    words[end + last] = wordAt(commands, last) & ~PUBLISH
    end += commands.length
  }
  const source = {
    words,
    end,
    count: pieces.length,
    level: branches[0]?.level ?? 0,
    calls: pieces.map((_, position) => position),
    firstWait: undefined,
    waits: 0,
    shape: () => headersOf({ words, start: 0, end }),
  }
  return { source, places: new Map(pieces.map(({ node }, position) => [node, position])) }
}

function piecesOf(branches: readonly ChainedBranch[]): Piece[] {
  const pieces: Piece[] = []
  const walks = branches.map(({ words, start, end, calls }, branch) => ({ words, start, end, calls, branch, count: 0 }))
  inSequence(walks, (walk, start, end, last) => {
    const position = walk.count++
    if (isWait(walk.words, start)) return
    pieces.push({
      commands: walk.words.subarray(start, end),
      last: last - start,
      node: nodeAt(walk.branch, position),
      call: walk.calls[position] ?? 0,
    })
  })
  return pieces.sort((one, other) => one.call - other.call)
}

function headersOf(range: CommandRange): number[] {
  const headers: number[] = []
  forEachCommand(range, (_, header) => headers.push(header))
  return headers
}

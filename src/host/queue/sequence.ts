import { INSIDE, KIND_BITS, KIND_MASK, LENGTH_MASK, WAIT_BRANCH, wordAt } from "../control/layout.js"

/** The commands of one branch, from word `start` to word `end`. */
export interface CommandRange {
  readonly words: Int32Array
  readonly start: number
  readonly end: number
}

/** Calls `visit` for each command, including those inside conditionals. */
export function forEachCommand({ words, start, end }: CommandRange, visit: (at: number, header: number) => void): void {
  for (let at = start; at < end;) {
    const header = wordAt(words, at)
    visit(at, header)
    at += lengthOf(header)
  }
}

/**
 * Calls `visit` for each counted command of several branches, in an order that respects their waits for each other. A
 * conditional counts once: all its words are visited together, and its last command is the one that is counted.
 */
export function inSequence<Branch extends CommandRange>(
  branches: readonly Branch[],
  visit: (branch: Branch, start: number, end: number, last: number) => void,
): void {
  const walks = branches.map((branch) => ({ branch, at: branch.start, count: 0 }))
  /** Recurses at most once per branch, because waits form no cycles. */
  const advance = (index: number, until: number): void => {
    const walk = walks[index]
    if (walk === undefined) return
    const { branch } = walk
    const { words, end } = branch
    while (walk.count < until && walk.at < end) {
      const start = walk.at
      if (isWait(words, start)) advance(wordAt(words, start + 1), wordAt(words, start + 2))
      const last = lastOf(words, start)
      walk.at = last + lengthOf(wordAt(words, last))
      walk.count++
      visit(branch, start, walk.at, last)
    }
  }
  branches.forEach((_, index) => advance(index, Infinity))
}

/** The index of the counted command at a position, and how many commands of any kind precede it. */
export function commandAt({ words, start, end }: CommandRange, position: number): { at: number; place: number } {
  let count = 0
  let place = 0
  for (let at = start; at < end; place++) {
    const header = wordAt(words, at)
    if ((header & INSIDE) === 0 && count++ === position) return { at, place }
    at += lengthOf(header)
  }
  throw new RangeError(`The branch has no command at position ${position}.`)
}

/** Whether the command at an index waits for another branch. */
export function isWait(words: Int32Array, at: number): boolean {
  return (wordAt(words, at) & KIND_MASK) === WAIT_BRANCH
}

/** The counted command of the piece that begins at an index. */
function lastOf(words: Int32Array, start: number): number {
  let at = start
  while ((wordAt(words, at) & INSIDE) !== 0) at += lengthOf(wordAt(words, at))
  return at
}

function lengthOf(header: number): number {
  return (header >>> KIND_BITS) & LENGTH_MASK
}

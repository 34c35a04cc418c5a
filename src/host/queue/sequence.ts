import { INSIDE, KIND_BITS, KIND_MASK, LENGTH_MASK, WAIT_BRANCH, wordAt } from "../control/layout.js"

/** The commands of one branch, from word `start` to word `end`. */
export interface CommandRange {
  readonly words: Int32Array
  readonly start: number
  readonly end: number
}

/** Calls back for each command, those inside of conditionals one by one, with the words that it takes. */
export function forEachCommand({ words, start, end }: CommandRange, visit: (at: number, header: number) => void): void {
  for (let at = start; at < end;) {
    const header = wordAt(words, at)
    visit(at, header)
    at += lengthOf(header)
  }
}

/**
 * Calls back for each command that counts, of several branches that wait for each other, in an order that respects the
 * waits. A conditional counts once: its words come as one piece, whose last command is the one that counts.
 */
export function inSequence<Branch extends CommandRange>(
  branches: readonly Branch[],
  visit: (branch: Branch, start: number, end: number, last: number) => void,
): void {
  const walks = branches.map((branch) => ({ branch, at: branch.start, count: 0 }))
  /** Comes no deeper than there are branches: what a branch waits for does not wait for what comes behind. */
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

/** Does the command there wait for another branch? */
export function isWait(words: Int32Array, at: number): boolean {
  return (wordAt(words, at) & KIND_MASK) === WAIT_BRANCH
}

/** The command that counts, of the one that begins there. */
function lastOf(words: Int32Array, start: number): number {
  let at = start
  while ((wordAt(words, at) & INSIDE) !== 0) at += lengthOf(wordAt(words, at))
  return at
}

function lengthOf(header: number): number {
  return (header >>> KIND_BITS) & LENGTH_MASK
}

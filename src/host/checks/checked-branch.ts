/** A branch of a graph with checks around its launches: the same commands, except that launches are longer. */
import type { BranchBlock, BranchSource } from "../graph/branch-block.js"
import { JUMP, KIND_BITS, KIND_MASK, LAUNCH, LENGTH_MASK, TIME_WORDS, wordAt } from "../control/layout.js"
import { forEachCommand } from "../queue/sequence.js"

/** A launch in a branch, replaced by a checked one. */
export interface CheckedCommand {
  readonly kernel: number
  /** The words that follow those of the launch. */
  readonly more: Int32Array
}

/** A branch of a checked graph, and where its launches have their own words. */
export interface CheckedBranch extends BranchSource {
  /** The indices, from the beginning of its commands, of the words that follow each launch. */
  readonly checks: readonly number[]
}

/**
 * @param words the control memory
 * @param check gives the checked launch for the launch at an index
 */
export function checkedBranch(
  words: Int32Array,
  branch: BranchBlock,
  check: (at: number) => CheckedCommand,
): CheckedBranch {
  const start = branch.block + TIME_WORDS
  const end = branch.block + branch.length
  const made: number[] = []
  const shape: number[] = []
  const checks: number[] = []
  /** Where each command has its place in the new branch. */
  const places = new Map<number, number>()
  forEachCommand({ words, start, end }, (at, header) => {
    const place = made.length
    const length = (header >>> KIND_BITS) & LENGTH_MASK
    places.set(at, place)
    made.push(...words.subarray(at, at + length))
    if ((header & KIND_MASK) === LAUNCH) {
      const { kernel, more } = check(at)
      checks.push(made.length)
      made.push(...more)
      made[place] = header + (more.length << KIND_BITS)
      made[place + 1] = kernel
    }
    shape.push(made[place] ?? 0)
  })
  for (const [at, place] of places) if (isJump(words, at)) made[place + 1] = distance(places, words, at, place)
  const { count, level, calls, firstWait, waits } = branch
  const kept = { count, level, calls, firstWait, waits }
  return { ...kept, words: Int32Array.from(made), end: made.length, shape: () => shape, checks }
}

function isJump(words: Int32Array, at: number): boolean {
  return (wordAt(words, at) & KIND_MASK) >= JUMP
}

function distance(places: ReadonlyMap<number, number>, words: Int32Array, at: number, place: number): number {
  const target = places.get(at + wordAt(words, at + 1))
  if (target === undefined) throw new RangeError(`The jump at ${at} has no target.`)
  return target - place
}

import { BROKEN, JUMP, JUMP_IF_ZERO, KIND_BITS, LENGTH_MASK } from "../control/layout.js"
import { wordAt } from "../control/words.js"

/** How a launch has ended. */
export type Launched = typeof RAN | typeof LOADING | typeof THREW
export const RAN = 0
/** The kernel has to be loaded first. */
export const LOADING = 1
/** The kernel has thrown: the caller is to break off what has launched it. */
export const THREW = 2

/** How running a call has ended. */
export type Outcome = typeof DONE | typeof GONE
/** It came to its end: the last command has to be counted. */
export const DONE = 0
/** The worker goes on elsewhere, or with nothing. */
export const GONE = 1

/** How single commands are run. Positions are those before the command. */
export interface Operations {
  launch(stream: number, read: number): Launched
  /** Breaks a stream because of what was thrown last. */
  breakOff(stream: number, low: number, high: number): void
  runSimple(stream: number, kind: number, read: number, low: number, high: number): void
  /** Breaks the stream if the one that it has waited for is broken. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void
  /** Is the condition of the jump at `read` zero? */
  isZero(read: number): boolean
}

/** How far the next command is from a jump. On a broken stream every condition leads out. */
export function jump(words: Int32Array, stream: number, kind: number, read: number, operations: Operations): number {
  const isTaken = kind === JUMP || words[stream + BROKEN] === 1 || operations.isZero(read) === (kind === JUMP_IF_ZERO)
  return isTaken ? wordAt(words, read + 1) : (wordAt(words, read) >>> KIND_BITS) & LENGTH_MASK
}

import {
  BROKEN,
  END,
  JUMP,
  JUMP_IF_ZERO,
  KIND_BITS,
  LENGTH_MASK,
  NOTHING,
  WAIT_BRANCH,
  wordAt,
} from "../control/layout.js"

/** How a launch ended. */
export type Launched = typeof RAN | typeof LOADING | typeof THREW
export const RAN = 0
/** The kernel must be loaded first. */
export const LOADING = 1
/** The kernel threw, or was dropped: the caller must break the stream. */
export const THREW = 2

/** How running a call ended. */
export type Outcome = typeof DONE | typeof GONE
/** All commands ran; the caller counts the last one. */
export const DONE = 0
/** The worker no longer has the stream. */
export const GONE = 1

/** Runs single commands. `low` and `high` are the stream's position before the command. */
export interface Operations {
  launch(stream: number, read: number): Launched
  /** Breaks a stream because its last launch failed. */
  breakOff(stream: number, low: number, high: number): void
  runSimple(stream: number, kind: number, read: number, low: number, high: number): void
  /** Breaks the stream if the one that it waited for is broken. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void
  /** Whether the condition of the jump at `read` is zero. */
  isZero(read: number): boolean
}

/** Whether a command of a block does something, so that a timeline shows it. Jumps never come here. */
export function isOperation(kind: number): boolean {
  return kind !== NOTHING && kind !== WAIT_BRANCH && kind !== END
}

/** The distance from a jump to the next command, in words. On a broken stream every conditional is left. */
export function jump(words: Int32Array, stream: number, kind: number, read: number, operations: Operations): number {
  const isTaken = kind === JUMP || words[stream + BROKEN] === 1 || operations.isZero(read) === (kind === JUMP_IF_ZERO)
  return isTaken ? wordAt(words, read + 1) : (wordAt(words, read) >>> KIND_BITS) & LENGTH_MASK
}

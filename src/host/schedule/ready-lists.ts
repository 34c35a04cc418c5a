import {
  LEVEL,
  LEVELS,
  NEXT,
  READY,
  READY_COUNT,
  READY_HEADS,
  READY_MASK,
  READY_TAILS,
  RUNNING,
  STATE,
  wordAt,
} from "../control/layout.js"

/*
 * The ready streams, in a list for each priority level. `READY_MASK` has a bit for each list that is not empty, and may be
 * read without the scheduler's lock. Everything else here needs it.
 */

/** Makes a stream ready. It must be in no list. */
export function pushReady(words: Int32Array, stream: number): void {
  const level = wordAt(words, stream + LEVEL)
  Atomics.store(words, stream + STATE, READY)
  words[stream + NEXT] = 0
  const last = wordAt(words, READY_TAILS + level)
  if (last === 0) words[READY_HEADS + level] = stream
  else words[last + NEXT] = stream
  words[READY_TAILS + level] = stream
  words[READY_COUNT] = wordAt(words, READY_COUNT) + 1
  Atomics.or(words, READY_MASK, 1 << level)
}

/** Removes the first stream of the highest level, which is running from now on. @returns 0 if there is none */
export function popReady(words: Int32Array): number {
  const mask = wordAt(words, READY_MASK)
  if (mask === 0) return 0
  const level = Math.min(LEVELS - 1, 31 - Math.clz32(mask))
  const stream = wordAt(words, READY_HEADS + level)
  const next = wordAt(words, stream + NEXT)
  words[READY_HEADS + level] = next
  if (next === 0) {
    words[READY_TAILS + level] = 0
    Atomics.and(words, READY_MASK, ~(1 << level))
  }
  words[READY_COUNT] = wordAt(words, READY_COUNT) - 1
  Atomics.store(words, stream + STATE, RUNNING)
  return stream
}

import {
  HOST_HIGH,
  HOST_LISTED,
  HOST_LOW,
  HOST_NEXT,
  HOST_PASSED,
  HOST_WATCHES,
  SIGNAL,
  WATCHED,
  hasReached,
  wordAt,
} from "../control/layout.js"

/** After progress of a stream that the opening thread watches: wakes that thread if the position was reached. Without the lock. */
export function tellHost(words: Int32Array, stream: number, high: number, low: number): void {
  if (!hasReached(high, low, wordAt(words, stream + HOST_HIGH), wordAt(words, stream + HOST_LOW))) return
  Atomics.and(words, stream + WATCHED, ~HOST_WATCHES)
  listForHost(words, stream)
  Atomics.add(words, SIGNAL, 1)
  Atomics.notify(words, SIGNAL)
}

/** Adds a stream to the list of those that the opening thread must check, unless it is in it. */
function listForHost(words: Int32Array, stream: number): void {
  if (Atomics.exchange(words, stream + HOST_LISTED, 1) === 1) return
  let first: number
  do {
    first = Atomics.load(words, HOST_PASSED)
    words[stream + HOST_NEXT] = first
  } while (Atomics.compareExchange(words, HOST_PASSED, first, stream) !== first)
}

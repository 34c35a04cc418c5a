import { AWAITED_HIGH, AWAITED_LOW, CHILD, NEXT, hasReached, wordAt } from "../control/layout.js"

/*
 * The streams that wait for positions of one stream form a pairing heap in their control blocks. The earliest position is
 * at the root, so progress costs time only for the waits that it ends. Used only under the scheduler's lock.
 *
 * `root` is the index of the word that holds the heap's first stream, or 0.
 */

/** Adds a stream, which must be in no list. */
export function addWaiter(words: Int32Array, root: number, stream: number): void {
  words[stream + NEXT] = 0
  words[stream + CHILD] = 0
  words[root] = meld(words, wordAt(words, root), stream)
}

/** Removes the stream at the root, which must exist. */
export function takeFirstWaiter(words: Int32Array, root: number): number {
  const first = wordAt(words, root)
  words[root] = meldAll(words, wordAt(words, first + CHILD))
  words[first + CHILD] = 0
  return first
}

/** Whether the position (high, low) has reached the position that this stream waits for. */
export function isReached(words: Int32Array, waiter: number, high: number, low: number): boolean {
  return hasReached(high, low, wordAt(words, waiter + AWAITED_HIGH), wordAt(words, waiter + AWAITED_LOW))
}

/** Merges two heaps, neither of which has a next one. */
function meld(words: Int32Array, some: number, other: number): number {
  if (some === 0 || other === 0) return some + other
  const isEarlier = isReached(words, some, wordAt(words, other + AWAITED_HIGH), wordAt(words, other + AWAITED_LOW))
  const [earlier, later] = isEarlier ? [some, other] : [other, some]
  words[later + NEXT] = wordAt(words, earlier + CHILD)
  words[earlier + CHILD] = later
  return earlier
}

/** Merges a list of heaps: first in pairs, then all pairs. */
function meldAll(words: Int32Array, list: number): number {
  let pairs = 0
  for (let some = list; some !== 0;) {
    const other = wordAt(words, some + NEXT)
    const rest = other === 0 ? 0 : wordAt(words, other + NEXT)
    const pair = meld(words, some, other)
    words[pair + NEXT] = pairs
    pairs = pair
    some = rest
  }
  let heap = 0
  while (pairs !== 0) {
    const next = wordAt(words, pairs + NEXT)
    words[pairs + NEXT] = 0
    heap = meld(words, heap, pairs)
    pairs = next
  }
  return heap
}

import { AWAITED_HIGH, AWAITED_LOW, CHILD, NEXT, hasReached, wordAt } from "../control/layout.js"

/*
 * The streams that wait for positions of one stream: a pairing heap in their control blocks, the earliest position at
 * its root, so that progress looks at those alone whose positions it has reached. All of it under the scheduler's lock.
 *
 * `root` is the word that holds the heap's first stream, 0 if there is none.
 */

/** Puts a stream in. It must be in no list. */
export function addWaiter(words: Int32Array, root: number, stream: number): void {
  words[stream + NEXT] = 0
  words[stream + CHILD] = 0
  words[root] = meld(words, wordAt(words, root), stream)
}

/** Takes out the stream at the root, which must be there. */
export function takeFirstWaiter(words: Int32Array, root: number): number {
  const first = wordAt(words, root)
  words[root] = meldAll(words, wordAt(words, first + CHILD))
  words[first + CHILD] = 0
  return first
}

/** Has the position (high, low) reached what this stream waits for? */
export function isReached(words: Int32Array, waiter: number, high: number, low: number): boolean {
  return hasReached(high, low, wordAt(words, waiter + AWAITED_HIGH), wordAt(words, waiter + AWAITED_LOW))
}

/** Makes one heap of two, neither of which has a next one. */
function meld(words: Int32Array, some: number, other: number): number {
  if (some === 0 || other === 0) return some + other
  const isEarlier = isReached(words, some, wordAt(words, other + AWAITED_HIGH), wordAt(words, other + AWAITED_LOW))
  const [earlier, later] = isEarlier ? [some, other] : [other, some]
  words[later + NEXT] = wordAt(words, earlier + CHILD)
  words[earlier + CHILD] = later
  return earlier
}

/** Makes one heap of a list: of two neighbours each, then of all those. */
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

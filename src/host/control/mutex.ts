/** A mutex in one word, after Drepper's "Futexes Are Tricky": 0 free, 1 locked, 2 locked with waiters. */

const SPINS = 200
/** How long a waiting thread sleeps before it calls `whenLate`, in milliseconds. */
const PATIENCE = 50

/**
 * Locks the mutex, and waits until it is free. It is normally locked for less than a microsecond. If it stays locked much
 * longer, the thread that locked it may have died: `whenLate` is called repeatedly, and may throw.
 */
export function lock(words: Int32Array, index: number, whenLate?: () => void): void {
  if (Atomics.compareExchange(words, index, 0, 1) === 0) return
  for (let spin = 0; spin < SPINS; spin++) {
    if (Atomics.load(words, index) === 0 && Atomics.compareExchange(words, index, 0, 1) === 0) return
  }
  while (Atomics.exchange(words, index, 2) !== 0) {
    if (Atomics.wait(words, index, 2, PATIENCE) === "timed-out") whenLate?.()
  }
}

/** Unlocks the mutex. */
export function unlock(words: Int32Array, index: number): void {
  if (Atomics.exchange(words, index, 0) === 2) Atomics.notify(words, index, 1)
}

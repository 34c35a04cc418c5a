/** The futex mutex of Drepper's "Futexes Are Tricky": 0 free, 1 held, 2 held and wanted. */

const SPINS = 200
/** In milliseconds. */
const PATIENCE = 50

/**
 * Takes the lock, waiting for it if need be. What it protects takes less than a microsecond: `whenLate` is called again and
 * again while it takes very much longer, as when the thread that has the lock has died.
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

/** Gives the lock back. */
export function unlock(words: Int32Array, index: number): void {
  if (Atomics.exchange(words, index, 0) === 2) Atomics.notify(words, index, 1)
}

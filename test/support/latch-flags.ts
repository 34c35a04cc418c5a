/** A latch that is never opened ends by itself, so that a failing test does not hang. In milliseconds. */
export const latchLimit = 60_000

/** The latch's kernel on host. */
export const latchText = `
  export function test_latch(launch, flags, limit) {
    const end = performance.now() + limit
    Atomics.store(flags, 1, 1)
    Atomics.notify(flags, 1)
    while (Atomics.load(flags, 0) === 0) {
      const left = end - performance.now()
      if (left <= 0) {
        Atomics.store(flags, 2, 1)
        return
      }
      Atomics.wait(flags, 0, 0, left)
    }
  }`

const still = new Int32Array(new SharedArrayBuffer(4))

/** What a latch and its kernel tell each other. */
export class LatchFlags {
  readonly #flags: Int32Array

  /** @param flags three zeros in pinned memory */
  constructor(flags: Int32Array) {
    this.#flags = flags
  }

  /** Whether a held stream has reached the latch. */
  get entered(): boolean {
    return Atomics.load(this.#flags, 1) !== 0
  }

  /** Blocks until a held stream has reached the latch: its earlier work is done. */
  waitUntilEntered(): this {
    const end = performance.now() + latchLimit
    while (!this.entered) {
      if (performance.now() > end) throw new Error(`no stream came to the latch in ${latchLimit} ms`)
      Atomics.wait(still, 0, 0, 1)
    }
    return this
  }

  /** Releases the held streams. */
  open(): void {
    Atomics.store(this.#flags, 0, 1)
    Atomics.notify(this.#flags, 0)
  }

  /** Whether a held stream went on because of the time limit. Then the test has proved nothing. */
  get timedOut(): boolean {
    return Atomics.load(this.#flags, 2) !== 0
  }

  /** Opens the latch. */
  [Symbol.dispose](): void {
    this.open()
  }
}

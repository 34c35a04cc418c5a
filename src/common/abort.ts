/**
 * Calls functions when a signal aborts. Each signal gets one listener, however many promises wait for it, because Node.js
 * warns of a leak at more than ten. The listener is removed with the last waiter, so that a long-lived signal retains
 * nothing.
 */

import { mustBe } from "./check.js"

/** The one listener of a signal, and the functions to call. */
class SignalWatch {
  readonly #signal: AbortSignal
  readonly #waiters = new Set<() => void>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener("abort", this.#notify)
  }

  add(fn: () => void): void {
    this.#waiters.add(fn)
  }

  delete(fn: () => void): void {
    if (this.#waiters.delete(fn) && this.#waiters.size === 0) this.#end()
  }

  readonly #notify = (): void => {
    this.#end()
    for (const fn of [...this.#waiters]) if (this.#waiters.delete(fn)) fn()
  }

  #end(): void {
    watches.delete(this.#signal)
    this.#signal.removeEventListener("abort", this.#notify)
  }
}

const watches = new WeakMap<AbortSignal, SignalWatch>()

/** Calls a function when a signal aborts. The function must not throw. @returns a function that cancels this */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  let watch = watches.get(signal)
  if (watch === undefined) {
    watch = new SignalWatch(signal)
    watches.set(signal, watch)
  }
  watch.add(fn)
  return () => watch.delete(fn)
}

/** Throws unless the value is undefined or a signal: Node's own, or one of another realm or of a test's DOM. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined || isSignal(signal)) return
  throw mustBe("signal", "an AbortSignal or undefined", signal)
}

function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === "object" &&
    value !== null &&
    "aborted" in value &&
    typeof value.aborted === "boolean" &&
    "addEventListener" in value &&
    typeof value.addEventListener === "function" &&
    "removeEventListener" in value &&
    typeof value.removeEventListener === "function"
  )
}

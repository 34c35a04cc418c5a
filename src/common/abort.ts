/**
 * Who is to be told of a signal's abort. Each signal gets one listener, however many promises wait under it: Node.js takes
 * more than ten for a leak. Without a waiter it has none, so that a signal that lives long holds on to nothing.
 */

import { AuxstreamError } from "./errors.js"
import { show } from "./show.js"

/** The one listener of a signal. */
class SignalWatch {
  readonly #signal: AbortSignal
  readonly #told = new Set<() => void>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener("abort", this.#tell)
  }

  add(fn: () => void): void {
    this.#told.add(fn)
  }

  delete(fn: () => void): void {
    if (this.#told.delete(fn) && this.#told.size === 0) this.#end()
  }

  readonly #tell = (): void => {
    this.#end()
    for (const fn of [...this.#told]) if (this.#told.delete(fn)) fn()
  }

  #end(): void {
    watches.delete(this.#signal)
    this.#signal.removeEventListener("abort", this.#tell)
  }
}

const watches = new WeakMap<AbortSignal, SignalWatch>()

/** Calls a function if a signal aborts. It must not throw. @returns what takes it back */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  let watch = watches.get(signal)
  if (watch === undefined) {
    watch = new SignalWatch(signal)
    watches.set(signal, watch)
  }
  watch.add(fn)
  return () => watch.delete(fn)
}

/** Refuses what is no signal. One of another realm, or of a test's DOM, is as good as Node's own. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined || isSignal(signal)) return
  throw new AuxstreamError("AUX_INVALID_ARGUMENT", `signal must be an AbortSignal, or left out; got ${show(signal)}`)
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

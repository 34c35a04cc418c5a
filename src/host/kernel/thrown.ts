import { type Violation, ViolationFailure } from "./violations.js"

/** A thrown value as text, because not every value can be posted to another thread. */
export interface Thrown {
  readonly text: string
  readonly stack: string
  /** What a check has found, if that was thrown. */
  readonly violation?: Violation
}

/** A kernel may throw a message of any length, and each error that it causes repeats it. */
const MOST_TEXT = 2000
const MOST_STACK = 20_000

/**
 * Describes a thrown value, in a bounded length. Shortens the stack of a kernel given as source: each of its lines contains
 * the whole source.
 */
export function describeThrown(error: unknown, kernel: string): Thrown {
  try {
    if (error instanceof ViolationFailure) return { text: "", stack: "", violation: error.violation }
    if (!(error instanceof Error)) {
      const text = cut(`it threw ${String(error)}`, MOST_TEXT)
      return { text, stack: text }
    }
    const whole = `${error.name}: ${error.message}`
    const text = cut(shorten(whole, kernel), MOST_TEXT)
    const stack = String(error.stack)
    // The calls come after the message.
    const calls = stack.startsWith(whole) ? text + stack.slice(whole.length) : stack
    return { text, stack: cut(shorten(calls, kernel), MOST_STACK) }
  } catch {
    const text = "it threw something that cannot be shown"
    return { text, stack: text }
  }
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}… (${text.length} characters in all)` : text
}

function shorten(text: string, kernel: string): string {
  return text.replace(/data:text\/javascript;charset=utf-8,[\w%.~-]*/g, () => `kernel ${kernel}`)
}

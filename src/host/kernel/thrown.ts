/** A thrown value as text, because not every value can be posted to another thread. */
export interface Thrown {
  readonly text: string
  readonly stack: string
}

/** Describes a thrown value. Shortens the stack of a kernel given as source: each of its lines contains the whole source. */
export function describeThrown(error: unknown, kernel: string): Thrown {
  try {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : `it threw ${String(error)}`
    const stack = error instanceof Error ? String(error.stack) : text
    return { text: shorten(text, kernel), stack: shorten(stack, kernel) }
  } catch {
    const text = "it threw something that cannot be shown"
    return { text, stack: text }
  }
}

function shorten(text: string, kernel: string): string {
  return text.replace(/data:text\/javascript;charset=utf-8,[\w%.~-]*/g, () => `kernel ${kernel}`)
}

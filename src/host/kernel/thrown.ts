/** What a kernel threw, or why it could not be loaded, as text: thrown values cannot cross threads as they are. */
export interface Thrown {
  readonly text: string
  readonly stack: string
}

/** What was thrown, as text. A kernel given as source has its whole text in each line of its stack: that is cut. */
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

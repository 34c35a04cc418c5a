import { setImmediate as turn } from "node:timers/promises"

/** How many warnings with this code a function causes. */
export async function counted(code: string, run: () => Promise<void> | void): Promise<number> {
  let count = 0
  const note = (warning: Error & { code?: string }) => {
    if (warning.code === code) count += 1
  }
  process.on("warning", note)
  try {
    await run()
    await turn() // Warnings are emitted later.
  } finally {
    process.off("warning", note)
  }
  return count
}

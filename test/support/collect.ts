import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage: unknown = runInNewContext("gc")

/**
 * Runs the garbage collector and lets finalizers run, until a condition holds.
 *
 * @throws Error if it does not hold after 60 s
 */
export async function collectUntil(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited 60 s in vain: ${what}`)
    await collect()
  }
}

/** Runs the garbage collector once, and lets finalizers run. */
export async function collect(): Promise<void> {
  if (typeof collectGarbage === "function") Reflect.apply(collectGarbage, undefined, [])
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
}

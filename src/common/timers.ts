/**
 * Timers, microtasks and the clock as they were when the library was imported: nothing else in the library may use the
 * global ones. A test that fakes those would otherwise stop the library, and a `read()` in it would never settle.
 */

import { performance } from "node:perf_hooks"
import process from "node:process"
import * as timers from "node:timers"

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers

export const nextTick = process.nextTick.bind(process)

/** Milliseconds since some point in the past. */
export const now = performance.now.bind(performance)

const { hrtime } = process
/** Bun and Deno have a beginning of their own in each thread for `hrtime`, which in Node.js all threads share. */
const sharesHrtime = !("bun" in process.versions || "deno" in process.versions)

/** Milliseconds since some point in the past that is the same for all threads of the process. */
export function sharedNow(): number {
  if (!sharesHrtime) return performance.timeOrigin + now()
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

const resolved = Promise.resolve()

/** Calls a function as a microtask. It must not throw. */
export function microtask(fn: () => void): void {
  void resolved.then(fn)
}

/** A promise that resolves after so many milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

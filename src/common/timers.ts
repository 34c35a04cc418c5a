/**
 * Timers, microtasks and the clock as they were when the library was imported. The library must use only these: if a test
 * fakes the global ones, a `read()` in it would never settle.
 */

import { performance } from "node:perf_hooks"
import process from "node:process"
import * as timers from "node:timers"

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers

export const nextTick = process.nextTick.bind(process)

/** Milliseconds since a fixed time in the past. */
export const now = performance.now.bind(performance)

const { hrtime } = process
/** In Node.js, `hrtime` has the same origin in all threads. In Bun and Deno, each thread has its own. */
const sharesHrtime = !("bun" in process.versions || "deno" in process.versions)

/** Milliseconds since a fixed time in the past, the same for all threads of the process. */
export function sharedNow(): number {
  if (!sharesHrtime) return performance.timeOrigin + now()
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

/** What {@link sharedNow} is ahead of {@link now} in this thread. Constant; measured to about 0.1 µs. */
export function sharedOffset(): number {
  if (!sharesHrtime) return performance.timeOrigin
  let offset = 0
  let best = Infinity
  for (let trial = 0; trial < 32; trial++) {
    const before = now()
    const shared = sharedNow()
    const after = now()
    if (after - before >= best) continue
    best = after - before
    offset = shared - (before + after) / 2
  }
  return offset
}

const resolved = Promise.resolve()

/** Calls a function in a microtask. The function must not throw. */
export function microtask(fn: () => void): void {
  void resolved.then(fn)
}

/** A promise that resolves after `milliseconds`. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

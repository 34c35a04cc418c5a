/** Sleeps for less than a millisecond, which Node's timers cannot. Must never block the event loop. */
import { bind, koffi, type NativeCall, type Signature } from "./ffi.js"

const C_LIBRARY = { usleep: ["usleep", "uint32_t"] } as const satisfies Record<string, Signature>

let usleep: NativeCall<[microseconds: number]> | undefined
let isSought = false

/**
 * Finds the function. Called when a device is opened, because koffi ends the process if a Worker is terminated while it loads
 * a library. Windows has no such function.
 */
export function findNap(): void {
  if (isSought) return
  isSought = true
  try {
    usleep = bind(koffi().load(null), C_LIBRARY).usleep
  } catch {
    usleep = undefined
  }
}

/**
 * Sleeps on a thread of Node's pool, then calls `done`. The thread takes some time to wake up.
 *
 * @returns false if this system cannot
 */
export function nap(microseconds: number, done: () => void): boolean {
  usleep?.async(microseconds, done)
  return usleep !== undefined
}

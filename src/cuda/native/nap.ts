/** Sleeps for less than a millisecond, which Node's timers cannot. Must never block the event loop. */
import { bind, koffi, type NativeCall, type Signature } from "./ffi.js"

const C_LIBRARY = { usleep: ["usleep", "uint32_t"] } as const satisfies Record<string, Signature>

let usleep: NativeCall<[microseconds: number]> | undefined
let isSought = false

/** Undefined on Windows, whose C library has no `usleep`. */
function find(): NativeCall<[microseconds: number]> | undefined {
  isSought = true
  try {
    return bind(koffi().load(null), C_LIBRARY).usleep
  } catch {
    return undefined
  }
}

/**
 * Sleeps on a thread of Node's pool, then calls `done`. The thread takes some time to wake up.
 *
 * @returns false if this system cannot
 */
export function nap(microseconds: number, done: () => void): boolean {
  if (!isSought) usleep = find()
  usleep?.async(microseconds, done)
  return usleep !== undefined
}

/** Waiting for less than a millisecond, which the timers of Node.js cannot. */
import { bind, koffi, type NativeCall, type Signature } from "./ffi.js"

const C_LIBRARY = { usleep: ["usleep", "uint32_t"] } as const satisfies Record<string, Signature>

let usleep: NativeCall<[microseconds: number]> | undefined
let isSought = false

/** Undefined where the C library has none: on Windows. */
function find(): NativeCall<[microseconds: number]> | undefined {
  isSought = true
  try {
    return bind(koffi().load(null), C_LIBRARY).usleep
  } catch {
    return undefined
  }
}

/** Calls `done` after so many microseconds and what a thread needs to wake. A thread of Node's pool sleeps meanwhile. */
export function nap(microseconds: number, done: () => void): boolean {
  if (!isSought) usleep = find()
  usleep?.async(microseconds, done)
  return usleep !== undefined
}

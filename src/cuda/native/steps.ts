/**
 * Work with slow native calls in it, written once for both ways to run it: a generator that yields each slow call. All
 * between two calls happens on the calling thread.
 */
import { inBackground, type NativeCall } from "./ffi.js"

/** A slow call: made on this thread, or on a thread of Node's pool. */
export interface SlowCall {
  now(): number
  inBackground(): Promise<number>
}

/** Yields slow calls, gets their statuses, and returns a result. */
export type Steps<T> = Generator<SlowCall, T, number>

export function slow<A extends readonly unknown[]>(call: NativeCall<A>, ...args: A): SlowCall {
  return { now: () => call(...args), inBackground: () => inBackground(call, ...args) }
}

/** Runs all steps on this thread. */
export function runNow<T>(steps: Steps<T>): T {
  let next = steps.next()
  while (next.done !== true) next = resume(steps, next.value)
  return next.value
}

function resume<T>(steps: Steps<T>, call: SlowCall): IteratorResult<SlowCall, T> {
  let status
  try {
    status = call.now()
  } catch (error) {
    return steps.throw(error)
  }
  return steps.next(status)
}

/** Runs the slow calls on a thread of Node's pool, so that they do not block the event loop. */
export async function runInBackground<T>(steps: Steps<T>): Promise<T> {
  let next = steps.next()
  while (next.done !== true) {
    let status
    try {
      status = await next.value.inBackground()
    } catch (error) {
      next = steps.throw(error)
      continue
    }
    next = steps.next(status)
  }
  return next.value
}

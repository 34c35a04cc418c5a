import { adopt } from "../common/thenable.js"
import type { Branch } from "./types.js"

/**
 * Calls functions one after another on the current stream. From the first one that returns a thenable on, each is
 * awaited before the next is called. An empty slot gives undefined.
 */
export function runInSequence(fns: readonly Branch[]): unknown[] | Promise<unknown[]> {
  const results: unknown[] = []
  for (const fn of fns) {
    const result = fn?.()
    const promise = adopt(result)
    if (promise !== undefined) return goOnAfter(promise, results, fns)
    results.push(result)
  }
  return results
}

/** The same for two functions, without a list: this path is to cost no more than the two calls. */
export function runTwoInSequence(fn0: () => unknown, fn1: () => unknown): unknown[] | Promise<unknown[]> {
  const result0 = fn0()
  const promise0 = adopt(result0)
  if (promise0 !== undefined) return goOnAfter(promise0, [], [fn0, fn1])
  const result1 = fn1()
  const promise1 = adopt(result1)
  return promise1 === undefined ? [result0, result1] : goOnAfter(promise1, [result0], [fn0, fn1])
}

async function goOnAfter(promise: Promise<unknown>, results: unknown[], fns: readonly Branch[]): Promise<unknown[]> {
  results.push(await promise)
  while (results.length < fns.length) {
    const result = fns[results.length]?.()
    results.push(await (adopt(result) ?? result))
  }
  return results
}

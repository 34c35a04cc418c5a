import { adopt } from "../common/results/thenable.js"
import type { Region } from "../runtime/order/observer/region.js"
import { inRegion, partOf } from "./region.js"
import type { Branch } from "./types.js"

/**
 * Calls functions one after another on the current stream. Each thenable is awaited before the next function is called.
 * The result of an empty entry is undefined.
 */
export function runInSequence(fns: readonly Branch[], region: Region | undefined): unknown[] | Promise<unknown[]> {
  if (region === undefined) return callInSequence(fns)
  const parts = fns.map((fn, index) => (fn === null || fn === undefined ? fn : partOf(region, index, fn)))
  return inRegion(region, () => callInSequence(parts))
}

function callInSequence(fns: readonly Branch[]): unknown[] | Promise<unknown[]> {
  const results: unknown[] = []
  for (const fn of fns) {
    const result = fn?.()
    const promise = adopt(result)
    if (promise !== undefined) return continueAfter(promise, results, fns)
    results.push(result)
  }
  return results
}

/** Like {@link runInSequence}, for two functions and without a list: this must cost no more than the two calls. */
export function runTwoInSequence(
  fn0: () => unknown,
  fn1: () => unknown,
  region: Region | undefined,
): unknown[] | Promise<unknown[]> {
  if (region !== undefined) return runInSequence([fn0, fn1], region)
  const result0 = fn0()
  const promise0 = adopt(result0)
  if (promise0 !== undefined) return continueAfter(promise0, [], [fn0, fn1])
  const result1 = fn1()
  const promise1 = adopt(result1)
  return promise1 === undefined ? [result0, result1] : continueAfter(promise1, [result0], [fn0, fn1])
}

async function continueAfter(
  promise: Promise<unknown>,
  results: unknown[],
  fns: readonly Branch[],
): Promise<unknown[]> {
  results.push(await promise)
  while (results.length < fns.length) {
    const result = fns[results.length]?.()
    results.push(await (adopt(result) ?? result))
  }
  return results
}

import { checkFunction, mustBe } from "../common/check.js"
import { PoolLease } from "../runtime/device/stream-pool.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { isEnabled, type ParallelOptions } from "./execute-in-parallel.js"
import { askedBy } from "../runtime/order/policy/overlap-options.js"
import { noteOf, takeTurn } from "./by-policy.js"
import { AuxBranch, forkJoin } from "./fork-join.js"
import { report } from "./report.js"
import { runInSequence } from "./sequential.js"
import { sideBySide } from "../runtime/order/policy/resident.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { OverlapNote } from "../runtime/order/policy/overlap-policy.js"
import type { Joined, Results } from "./types.js"

/**
 * Runs functions side by side: the first on the current stream, the others on streams of the device's pool. The library
 * provides the streams and the events.
 *
 * @param fns the functions; a single one, or none, needs no other stream
 * @param options `enable: false` runs all functions in sequence; `{ overlap, key }` lets a policy decide that
 * @returns the results in order; a promise if any function returned one
 * @throws AuxstreamError AUX_INVALID_ARGUMENT or AUX_AMBIGUOUS_DEVICE before anything is queued; otherwise what a function
 * threw, after the join
 * @example
 * const [q, k, v] = parallel([() => project(x, wq), () => project(x, wk), () => project(x, wv)])
 */
export function parallel<const F extends readonly (() => unknown)[]>(
  fns: F,
  options?: ParallelOptions,
): Joined<Results<F>>
export function parallel(
  fns: readonly (() => unknown)[],
  options: ParallelOptions = {},
): unknown[] | Promise<unknown[]> {
  checkList(fns)
  const enabled = isEnabled(options)
  const [fn0, ...others] = fns
  const asked = askedBy(options)
  if (fn0 === undefined || others.length === 0 || !enabled) {
    const reason = others.length === 0 ? "no-aux-stream" : "disabled"
    return runInSequence(fns, report("parallel", reason, undefined, undefined, noteOf(asked)))
  }
  const main = currentStream(currentDevice())
  if (asked === undefined) return onPool(main, fn0, others, undefined)
  return takeTurn(
    asked.policy.turnOf(main.state, asked.key),
    [], // The pool's streams have no work but what the current stream has joined.
    (note) => onPool(main, fn0, others, note),
    (note) => runInSequence(fns, report("parallel", "policy", main, undefined, note)),
  )
}

function checkList(fns: unknown): void {
  if (!Array.isArray(fns)) throw mustBe("fns", "an array of functions", fns)
  fns.forEach((fn: unknown, index) => checkFunction(fn, `fns[${index}]`))
}

function onPool(
  main: Stream,
  fn0: () => unknown,
  others: readonly (() => unknown)[],
  note: OverlapNote | undefined,
): unknown[] | Promise<unknown[]> {
  const lease = new PoolLease(main)
  let results: unknown[] | Promise<unknown[]> | undefined
  try {
    const branches = others.map((fn, index) => new AuxBranch(index + 1, fn, lease.acquire(), undefined))
    const region = report("parallel", "parallel", main, branches, note)
    const execute = () => forkJoin(main, fn0, branches, undefined, others.length + 1, region)
    results = note === undefined ? execute() : sideBySide(statesOf(main, branches), execute)
    return results instanceof Promise ? results.finally(() => lease.end()) : results
  } finally {
    if (!(results instanceof Promise)) lease.end()
  }
}

function statesOf(main: Stream, branches: readonly AuxBranch[]): StreamState[] {
  return [main, ...branches.map(({ stream }) => stream)].map(({ state }) => state)
}

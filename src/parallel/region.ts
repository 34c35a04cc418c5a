/**
 * Makes a fork-join call a region that observers see. The functions know a region only while there is an observer;
 * otherwise they never come here.
 */
import { adopt } from "../common/results/thenable.js"
import { context, runIn } from "../runtime/device/context.js"
import { type Region, RegionPart } from "../runtime/order/observer/region.js"

/** Runs a call inside its region, and ends the region when the call has returned or its promise has settled. */
export function inRegion<T>(region: Region, call: () => T): T {
  return runIn(context().withRegion(region.own), () => untilSettled(region, call))
}

function untilSettled<T>(region: Region, call: () => T): T {
  let results: T | undefined
  try {
    results = call()
    return results
  } finally {
    endAfter(region, results)
  }
}

/** Ends a region whose call has returned this, or has thrown. */
export function endAfter(region: Region, results: unknown): void {
  if (!(results instanceof Promise)) return region.end()
  const end = () => region.end()
  void results.then(end, end)
}

/** A function of the call, so that observers see which one queues an operation. */
export function partOf(region: Region, index: number, fn: () => unknown): () => unknown {
  const part = new RegionPart(region, index)
  return () =>
    runIn(context().withRegion(part), () => {
      const result = fn()
      // A lazy thenable starts here, so that its work is in the part, too.
      return adopt(result) ?? result
    })
}

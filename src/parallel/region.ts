/**
 * Makes a fork-join call a region that observers see. The functions know a region only while there is an observer;
 * otherwise they never come here.
 */
import { adopt } from "../common/thenable.js"
import { type Context, context, enter, runIn, showRegion } from "../runtime/device/context.js"
import { type Region, RegionPart } from "../runtime/order/region.js"

/** Runs a call inside its region, and ends the region when the call has returned or its promise has settled. */
export function inRegion<T>(region: Region, call: () => T): T {
  return runIn(context().withRegion(region.own), () => untilSettled(region, call))
}

/**
 * Like {@link inRegion}, for a call that enters the parts of its region itself. If it throws, the caller's context is entered
 * again.
 */
export function aroundRegion<T>(region: Region, here: Context, call: () => T): T {
  try {
    return untilSettled(region, call)
  } catch (error) {
    enter(here)
    throw error
  } finally {
    showRegion(undefined)
  }
}

function untilSettled<T>(region: Region, call: () => T): T {
  let isLater = false
  try {
    const results = call()
    isLater = results instanceof Promise
    if (results instanceof Promise) endWith(region, results)
    return results
  } finally {
    if (!isLater) region.end()
  }
}

function endWith(region: Region, results: Promise<unknown>): void {
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

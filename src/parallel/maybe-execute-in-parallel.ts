import { checkFunction } from "../common/check.js"
import { context } from "../runtime/device/context.js"
import type { Event } from "../runtime/device/event.js"
import { currentStreamIn } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { checkAuxStream, checkJoinEvent } from "./arguments.js"
import { forkJoinOfTwo } from "./fork-join.js"
import { report, reportTwo } from "./report.js"
import { runTwoInSequence } from "./sequential.js"
import type { Joined } from "./types.js"

/**
 * Runs two functions that queue independent work: side by side on two streams if an aux stream is given, one after the
 * other on the current stream if not.
 *
 * With an aux stream, `event0` is recorded on the current stream and `fn0` is called; then, with the aux stream
 * current, `event0` is waited for, `fn1` is called and `event1` recorded; then the stream that was current waits for
 * `event1`. What is queued afterwards runs behind both.
 *
 * Either function may be async: its stream stays current through its awaits, and the result is a promise. Whatever is
 * thrown, the aux stream is joined first. Arrays that either function made or read may be disposed of at once.
 *
 * @param fn0 the main function: its work goes to the current stream
 * @param fn1 the other one: its work goes to the aux stream
 * @param event0 orders `fn1` behind what was queued before the call; only needed with an aux stream
 * @param event1 orders what is queued after the call behind `fn1`; only needed with an aux stream
 * @param auxStream null, undefined or the current stream itself means: one after the other
 * @returns both results in order, as a promise if either function returned one
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH or AUX_DISPOSED before anything is queued
 * @example
 * const [routed, shared] = maybeExecuteInParallel(() => experts(x), () => sharedExpert(x), event0, event1, aux)
 *
 * After vLLM's and TensorRT-LLM's function of the same name.
 */
export function maybeExecuteInParallel<R0, R1>(
  fn0: () => R0,
  fn1: () => R1,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream?: Stream | null,
): Joined<[R0, R1]>
export function maybeExecuteInParallel(
  fn0: () => unknown,
  fn1: () => unknown,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream?: Stream | null,
): unknown[] | Promise<unknown[]> {
  checkFunction(fn0, "fn0")
  checkFunction(fn1, "fn1")
  if (auxStream === null || auxStream === undefined) {
    report("no-aux-stream")
    return runTwoInSequence(fn0, fn1)
  }
  return executeOnTwo(fn0, fn1, event0, event1, auxStream)
}

/** Apart, so that the way without an aux stream is short enough for the engine to put it in its caller's place. */
function executeOnTwo(
  fn0: () => unknown,
  fn1: () => unknown,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream: Stream,
): unknown[] | Promise<unknown[]> {
  const here = context()
  if (!here.multiStream) {
    report("disabled")
    return runTwoInSequence(fn0, fn1)
  }
  checkAuxStream(auxStream, "auxStream")
  const main = currentStreamIn(here, auxStream.device)
  if (main === auxStream) {
    report("same-stream", main)
    return runTwoInSequence(fn0, fn1)
  }
  checkJoinEvent(event0, "event0", main)
  checkJoinEvent(event1, "event1", main)
  reportTwo(main, auxStream)
  return forkJoinOfTwo(here, main, fn0, fn1, auxStream, event0, event1)
}

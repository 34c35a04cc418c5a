import { checkFunction } from "../common/check.js"
import { type Context, context } from "../runtime/device/context.js"
import type { Event } from "../runtime/device/event.js"
import { currentStreamIn } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { checkAuxStream, checkJoinEvent } from "./arguments.js"
import { checkOverlap, type OverlapOptions } from "../runtime/order/policy/overlap-options.js"
import { noteOf, takeTurn } from "./by-policy.js"
import { forkJoinOfTwo, forkJoinOfTwoIn } from "./fork-join.js"
import { type ParallelReason, report, reportTwo } from "./report.js"
import { runTwoInSequence } from "./sequential.js"
import { haveResidentKernels, sideBySide } from "../runtime/order/policy/resident.js"
import type { OverlapNote } from "../runtime/order/policy/overlap-policy.js"
import type { Joined } from "./types.js"

/**
 * Runs two functions that queue independent work: side by side on two streams if there is an aux stream, otherwise one
 * after the other on the current stream.
 *
 * With an aux stream, the library records `event0` on the current stream and calls `fn0`. Then it makes the aux stream
 * current, waits there for `event0`, calls `fn1` and records `event1`. At the end the current stream waits for `event1`, so
 * everything queued later runs after both.
 *
 * Either function may be async: its stream stays current across its awaits, and the result is a promise. If a function
 * throws, the aux stream is joined before the error reaches you. You may dispose of the functions' arrays at any time.
 *
 * After vLLM's and TensorRT-LLM's `maybe_execute_in_parallel`.
 *
 * @param fn0 the main function; its work is queued on the current stream
 * @param fn1 the other function; its work is queued on the aux stream
 * @param event0 orders `fn1` after everything queued before the call; needed only with an aux stream
 * @param event1 orders everything queued after the call after `fn1`; needed only with an aux stream
 * @param auxStream null, undefined or the current stream itself runs `fn0`, then `fn1`, on the current stream
 * @param options `{ overlap, key }` lets a policy decide whether the call overlaps
 * @returns both results in order; a promise if either function returned one
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH or AUX_DISPOSED before anything is queued; otherwise what
 * a function threw, after the join
 * @example
 * const [routed, shared] = maybeExecuteInParallel(() => experts(x), () => sharedExpert(x), event0, event1, aux)
 */
export function maybeExecuteInParallel<R0, R1>(
  fn0: () => R0,
  fn1: () => R1,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream?: Stream | null,
  options?: OverlapOptions,
): Joined<[R0, R1]>
export function maybeExecuteInParallel(
  fn0: () => unknown,
  fn1: () => unknown,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream?: Stream | null,
  options?: OverlapOptions,
): unknown[] | Promise<unknown[]> {
  checkFunction(fn0, "fn0")
  checkFunction(fn1, "fn1")
  if (options !== undefined) return executeByPolicy(fn0, fn1, event0, event1, auxStream, options)
  if (auxStream === null || auxStream === undefined) {
    return runTwoInSequence(fn0, fn1, report("maybeExecuteInParallel", "no-aux-stream"))
  }
  return executeOnTwo(fn0, fn1, event0, event1, auxStream)
}

/** Apart, so that {@link maybeExecuteInParallel} is small enough for the engine to inline it. */
function executeOnTwo(
  fn0: () => unknown,
  fn1: () => unknown,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream: Stream,
): unknown[] | Promise<unknown[]> {
  const here = context()
  if (!here.multiStream) return runTwoInSequence(fn0, fn1, report("maybeExecuteInParallel", "disabled"))
  checkAuxStream(auxStream, "auxStream")
  const main = currentStreamIn(here, auxStream.device)
  if (main === auxStream) return runTwoInSequence(fn0, fn1, report("maybeExecuteInParallel", "same-stream", main))
  checkJoinEvent(event0, "event0", main)
  checkJoinEvent(event1, "event1", main)
  const region = reportTwo(here, main, auxStream, undefined)
  return region === undefined
    ? forkJoinOfTwo(here, main, fn0, fn1, auxStream, event0, event1, undefined)
    : forkJoinOfTwoIn(region, here, main, fn0, fn1, auxStream, event0, event1)
}

/** The same if there are options. Apart, so that calls without any cost no more. */
function executeByPolicy(
  fn0: () => unknown,
  fn1: () => unknown,
  event0: Event | null | undefined,
  event1: Event | null | undefined,
  auxStream: Stream | null | undefined,
  options: OverlapOptions,
): unknown[] | Promise<unknown[]> {
  const asked = checkOverlap(options)
  const inSequence = (reason: ParallelReason, main?: Stream, note = noteOf(asked)) =>
    runTwoInSequence(fn0, fn1, report("maybeExecuteInParallel", reason, main, undefined, note))
  if (auxStream === null || auxStream === undefined) return inSequence("no-aux-stream")
  if (asked === undefined) return executeOnTwo(fn0, fn1, event0, event1, auxStream)
  const here = context()
  if (!here.multiStream) return inSequence("disabled")
  checkAuxStream(auxStream, "auxStream")
  const main = currentStreamIn(here, auxStream.device)
  if (main === auxStream) return inSequence("same-stream", main)
  checkJoinEvent(event0, "event0", main)
  checkJoinEvent(event1, "event1", main)
  return takeTurn(
    asked.policy.turnOf(main.state, asked.key),
    [auxStream],
    (note) => overlapTwo(note, here, main, fn0, fn1, auxStream, event0, event1),
    (note) => inSequence("policy", main, note),
  )
}

/** Calls both functions side by side, because a policy says so. */
function overlapTwo(
  note: OverlapNote,
  here: Context,
  main: Stream,
  fn0: () => unknown,
  fn1: () => unknown,
  auxStream: Stream,
  event0: Event,
  event1: Event,
): unknown[] | Promise<unknown[]> {
  const region = reportTwo(here, main, auxStream, note)
  if (region === undefined && !haveResidentKernels()) {
    return forkJoinOfTwo(here, main, fn0, fn1, auxStream, event0, event1, undefined)
  }
  return sideBySide([main.state, auxStream.state], () => {
    return region === undefined
      ? forkJoinOfTwo(here, main, fn0, fn1, auxStream, event0, event1, undefined)
      : forkJoinOfTwoIn(region, here, main, fn0, fn1, auxStream, event0, event1)
  })
}

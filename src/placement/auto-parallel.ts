/** The public functions: where a region begins and ends. */
import { checkFunction, checkInteger, checkOptions, mustBe } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import { attach } from "../common/results/failures.js"
import { adopt } from "../common/results/thenable.js"
import { context, runIn } from "../runtime/device/context.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import { Device } from "../runtime/device/device.js"
import type { Stream } from "../runtime/device/stream.js"
import { OperationObserver } from "../runtime/order/observer/observer.js"
import { currentObserver, observe } from "../runtime/order/observer/observers.js"
import { Region, RegionPart } from "../runtime/order/observer/region.js"
import type { PlacementReport } from "./explanation.js"
import { Placement } from "./placement.js"
import type { RegionLimits } from "./region-streams.js"

/** The most streams that a region may use. */
const MOST_STREAMS = 128

/** Options of {@link autoParallel}. */
export interface AutoParallelOptions {
  /** The largest number of streams that the region uses, including the current one: 1 to 128. Default: 8. */
  readonly streams?: number | undefined
  /**
   * The most streams with matrix products: 1 to 128. Each needs a workspace: 32 MiB for cuBLAS on a large GPU, 1.3 MB on
   * host. Default: 2.
   */
  readonly workspaces?: number | undefined
  /** The device whose operations are placed. Default: the device of the innermost `run`, otherwise the only open device. */
  readonly device?: Device | undefined
  /**
   * Called at the end with the operations, their streams, and the reasons for their order. Costs some time for each
   * operation.
   */
  readonly explain?: ((placement: PlacementReport) => void) | undefined
}

const optionNames: ReadonlySet<string> = new Set([
  "streams",
  "workspaces",
  "device",
  "explain",
] satisfies (keyof AutoParallelOptions)[])

/** Any function but an async one. The compiler shows this text for an async one. */
type Sync<T> = (() => T) &
  ([Thenable<T>] extends [never]
    ? unknown
    : "the function must not be async, because the placement of its work would depend on timing")

/** The part of a type that is a promise; never for `any`. */
type Thenable<T> = 0 extends 1 & T ? never : Extract<T, PromiseLike<unknown>>

/** The open regions, the innermost last. A region never outlives the call that made it. */
const open: Placement[] = []

/**
 * Calls a function that queues work in sequence, and runs its operations side by side where that is safe. The library
 * chooses a stream for each operation, and makes it wait for earlier operations that use the same bytes, if either of the
 * two writes. It knows these bytes from signatures, structs, `uses` and globals, so kernels need no annotations. At the
 * end, everything is joined on the current stream.
 *
 * The same function is always placed the same way, also inside {@link captureGraph}, where it becomes a graph with
 * branches. A call that names a stream or an event, or waits for the device, is a fence: it runs after everything before
 * it, and everything after it runs later. A region inside a region becomes part of the outer one.
 * `withMultiStream(false, ...)` turns regions off.
 *
 * After GrCUDA's scheduler. CUDA: streams, `cuEventRecord` and `cuStreamWaitEvent`.
 *
 * @param fn queues the work; must not be async. It may read arrays: await the promise outside
 * @param options limits on streams, the device, and a function that receives the placement
 * @returns what `fn` returns
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_AMBIGUOUS_DEVICE, AUX_DISPOSED, AUX_STREAM_CAPTURING
 * before anything is queued; AUX_INVALID_ARGUMENT if `fn` returns a promise, and what `fn` throws, after the join
 * @example
 * const y = autoParallel(() => {
 *   const q = project(x, wq)
 *   const k = project(x, wk) // beside q
 *   const v = project(x, wv) // beside both
 *   return attend(q, k, v)   // after all three
 * })
 */
export function autoParallel<T>(fn: Sync<T>, options?: AutoParallelOptions): T
export function autoParallel(fn: () => unknown, options: AutoParallelOptions = {}): unknown {
  checkFunction(fn, "fn")
  checkOptions(options, "options", optionNames)
  const { streams = 8, workspaces = 2, device = currentDevice(), explain } = options
  checkInteger(streams, "streams", 1, MOST_STREAMS)
  checkInteger(workspaces, "workspaces", 1, MOST_STREAMS)
  if (explain !== undefined) checkFunction(explain, "explain")
  if (!(device instanceof Device)) throw mustBe("device", "a Device or undefined", device)
  device.checkUsable()
  const main = currentStream(device)
  main.state.enter()
  const around = open.findLast((placement) => placement.contains(context().region, main.state))
  if (around === undefined)
    return runRegion(main, { streams: context().multiStream ? streams : 1, workspaces }, fn, explain)
  const [from, explanation] = [around.count, explain && around.explain()]
  const result = callSync(fn)
  if (explanation !== undefined) explain?.(explanation.report(from, around.count))
  return result
}

function runRegion(
  main: Stream,
  limits: RegionLimits,
  fn: () => unknown,
  explain: ((placement: PlacementReport) => void) | undefined,
): unknown {
  const used = [main.state]
  const others = currentObserver() ?? new OperationObserver()
  const [mode, reason] =
    limits.streams > 1 ? (["parallel", "parallel"] as const) : (["sequential", "disabled"] as const)
  const region = new Region("autoParallel", mode, reason, used, context().region, others)
  const part = new RegionPart(region, 0)
  const placement = new Placement(main, limits, { region, part, streams: used })
  const explanation = explain && placement.explain()
  const { arrays } = main.device
  const former = arrays.region
  const stop = observe(placement)
  arrays.region = placement
  placement.begin()
  open.push(placement)
  let result: unknown
  let failure: { readonly error: unknown } | undefined
  try {
    result = runIn(context().withRegion(part), () => callSync(fn))
  } catch (error) {
    failure = { error }
  }
  open.pop()
  arrays.region = former
  const failures = placement.end()
  stop()
  region.end()
  if (failure !== undefined) throw attach(failure.error, failures)
  if (failures.length > 0) throw failures[0]
  if (explanation !== undefined) explain?.(explanation.report(0, placement.count))
  return result
}

/** Calls a function that must not return a promise. */
function callSync(fn: () => unknown): unknown {
  const result = fn()
  const promise = adopt(result)
  if (promise === undefined) return result
  promise.catch(() => {}) // The error below replaces its rejection.
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    "The function of autoParallel() must not return a promise: it was joined at its first await, and work queued later " +
      "is not placed. Await outside, and call autoParallel() for each part between two awaits.",
  )
}

/**
 * Inside {@link autoParallel}: keeps the operations that a function queues in the order of the calls. Use it for
 * operations that depend on each other in a way that their arguments do not show. Other operations of the region may
 * still run beside them. Outside a region, it just calls the function.
 *
 * @param fn must not be async
 * @returns what `fn` returns
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * autoParallel(() => {
 *   inOrder(() => {
 *     countDown.launch(shape, steps)
 *     relu.launch(shape, x) // after it, although they share no memory
 *   })
 *   relu.launch(shape, y) // beside both
 * })
 */
export function inOrder<T>(fn: Sync<T>): T
export function inOrder(fn: () => unknown): unknown {
  checkFunction(fn, "fn")
  const here = context().region
  const around = open.findLast((placement) => placement.contains(here))
  return around === undefined ? fn() : around.inOrder(() => callSync(fn))
}

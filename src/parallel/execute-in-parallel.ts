import { checkFunction, checkOptions } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import type { Event } from "../runtime/device/event.js"
import { show } from "../common/show.js"
import { currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { checkAuxStream, checkJoinEvent } from "./arguments.js"
import { AuxBranch, forkJoin } from "./fork-join.js"
import { isMultiStreamEnabled } from "./multi-stream.js"
import { type ParallelReason, report } from "./report.js"
import { runInSequence } from "./sequential.js"
import type { Branch, JoinedWith, Results } from "./types.js"

/** Options of {@link executeInParallel} and {@link parallel}. */
export interface ParallelOptions {
  /** False runs everything in sequence on the current stream. True unless given. */
  readonly enable?: boolean | undefined
}

const parallelOptions: ReadonlySet<string> = new Set(["enable"] satisfies (keyof ParallelOptions)[])

/** A slot that has a function, with the stream that it runs on. */
interface Slot {
  readonly index: number
  readonly fn: () => unknown
  readonly stream: Stream
}

/**
 * Runs a main function beside any number of others, each on its own aux stream.
 *
 * The main function is queued first. An empty slot gives undefined, and its stream and event are ignored; several slots
 * may share a stream. Without aux streams everything runs in sequence, and neither events nor streams are touched: they may
 * be null.
 *
 * @param fn0 the main function: its work goes to the current stream
 * @param auxFns the others
 * @param startEvent orders the others behind what was queued before the call
 * @param doneEvents one for each slot: orders what is queued after the call behind it
 * @param auxStreams one for each slot; null or an empty list means: in sequence
 * @returns the main result and the list of the others, as a promise if any function returned one
 * @example
 * const [q, [k, v]] = executeInParallel(() => normQ(x), [() => normK(x), () => normV(x)], start, [done0, done1], [s0, s1])
 *
 * After vLLM's function of the same name.
 */
export function executeInParallel<R0, const F extends readonly Branch[]>(
  fn0: () => R0,
  auxFns: F,
  startEvent: Event | null | undefined,
  doneEvents: readonly (Event | null | undefined)[] | null | undefined,
  auxStreams?: readonly (Stream | null | undefined)[] | null,
  options?: ParallelOptions,
): JoinedWith<R0, Results<F>>
export function executeInParallel(
  fn0: () => unknown,
  auxFns: readonly Branch[],
  startEvent: Event | null | undefined,
  doneEvents: readonly (Event | null | undefined)[] | null | undefined,
  auxStreams: readonly (Stream | null | undefined)[] | null = null,
  options: ParallelOptions = {},
): unknown {
  checkFunction(fn0, "fn0")
  checkBranches(auxFns, "auxFns")
  const enabled = isEnabled(options)
  if (auxStreams === null || auxStreams.length === 0) return inSequence("no-aux-stream", fn0, auxFns)
  if (!enabled) return inSequence("disabled", fn0, auxFns)
  const slots = slotsOf(auxFns, auxStreams)
  const [first] = slots
  if (first === undefined) return inSequence("no-aux-stream", fn0, auxFns)
  const main = currentStream(first.stream.device)
  if (slots.every(({ stream }) => stream === main)) return inSequence("same-stream", fn0, auxFns, main)
  checkLength("doneEvents", doneEvents, auxFns.length)
  checkJoinEvent(startEvent, "startEvent", main)
  const branches = slots.map((slot) => branchOf(slot, doneEvents?.[slot.index], main))
  report("parallel", main, slots)
  return split(forkJoin(main, fn0, branches, startEvent, auxFns.length + 1))
}

/** Is the use of aux streams asked for, and not turned off around the call? */
export function isEnabled(options: ParallelOptions): boolean {
  checkOptions(options, "options", parallelOptions)
  const { enable = true } = options
  if (typeof enable !== "boolean") {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `enable is ${show(enable)}; it is true or false, or left out`)
  }
  return enable && isMultiStreamEnabled()
}

/** Refuses what is no list of functions and empty slots. */
function checkBranches(fns: unknown, what: string): void {
  if (!Array.isArray(fns)) {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} is ${show(fns)}; it is an array of functions`)
  }
  fns.forEach((fn: unknown, index) => {
    if (fn !== null && fn !== undefined) checkFunction(fn, `${what}[${index}]`)
  })
}

function slotsOf(auxFns: readonly Branch[], auxStreams: readonly (Stream | null | undefined)[]): Slot[] {
  checkLength("auxStreams", auxStreams, auxFns.length)
  const slots: Slot[] = []
  auxFns.forEach((fn, index) => {
    if (fn === null || fn === undefined) return
    const stream = auxStreams[index]
    checkAuxStream(stream, `auxStreams[${index}]`)
    checkOneDevice(slots[0], stream, index)
    slots.push({ index, fn, stream })
  })
  return slots
}

function checkLength(what: string, list: unknown, length: number): void {
  if (Array.isArray(list) && list.length === length) return
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `${what} is ${Array.isArray(list) ? `${list.length} long` : show(list)}; it is an array with one for each of the ` +
      `${length} functions in auxFns`,
  )
}

function checkOneDevice(first: Slot | undefined, stream: Stream, index: number): void {
  if (first === undefined || first.stream.device === stream.device) return
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `auxStreams[${index}] is of ${stream.device.id}, auxStreams[${first.index}] of ${first.stream.device.id}; ` +
      "streams that are joined are of one device",
  )
}

function branchOf({ index, fn, stream }: Slot, done: Event | null | undefined, main: Stream): AuxBranch {
  checkJoinEvent(done, `doneEvents[${index}]`, main)
  return new AuxBranch(index + 1, fn, stream, done)
}

function inSequence(reason: ParallelReason, fn0: () => unknown, auxFns: readonly Branch[], main?: Stream): unknown {
  report(reason, main)
  return split(runInSequence([fn0, ...auxFns]))
}

/** `[r0, r1, r2]` as `[r0, [r1, r2]]`. */
function split(results: unknown[] | Promise<unknown[]>): unknown {
  if (results instanceof Promise) return results.then(([main, ...others]) => [main, others])
  const [main, ...others] = results
  return [main, others]
}

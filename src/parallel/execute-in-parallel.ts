import { checkBoolean, checkFunction, checkOptions, mustBe, quoted } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import type { Event } from "../runtime/device/event.js"
import { currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { checkAuxStream, checkJoinEvent } from "./arguments.js"
import { askedBy, type OverlapOptions } from "../runtime/order/policy/overlap-options.js"
import { noteOf, takeTurn } from "./by-policy.js"
import { AuxBranch, forkJoin } from "./fork-join.js"
import { isMultiStreamEnabled } from "./multi-stream.js"
import { type ParallelReason, report } from "./report.js"
import { runInSequence } from "./sequential.js"
import { sideBySide } from "../runtime/order/policy/resident.js"
import type { OverlapNote } from "../runtime/order/policy/overlap-policy.js"
import type { Branch, JoinedWith, Results } from "./types.js"

/** Options of {@link executeInParallel} and {@link parallel}. */
export type ParallelOptions = OverlapOptions & {
  /** Whether the functions may run side by side. False runs them in sequence on the current stream. Default: true. */
  readonly enable?: boolean | undefined
}

const parallelOptions: ReadonlySet<string> = new Set(["enable", "overlap", "key"] satisfies (keyof ParallelOptions)[])

/** A function in `auxFns`, with its index and its stream. */
interface Slot {
  readonly index: number
  readonly fn: () => unknown
  readonly stream: Stream
}

/**
 * Runs a main function side by side with other functions, each of them on its own aux stream.
 *
 * `fn0` is called first, then the functions of `auxFns` in order. An entry of `auxFns` may be null: its result is undefined,
 * and its stream and event are ignored. Several functions may share a stream. Without aux streams, all functions run in
 * sequence on the current stream; then the events may be null.
 *
 * After vLLM's `execute_in_parallel`.
 *
 * @param fn0 the main function; its work is queued on the current stream
 * @param auxFns the other functions
 * @param startEvent orders the work of `auxFns` after everything queued before the call
 * @param doneEvents one for each entry of `auxFns`: orders everything queued after the call after this function's work
 * @param auxStreams one for each entry of `auxFns`; null or an empty list runs all functions in sequence
 * @param options `enable: false` runs all functions in sequence; `{ overlap, key }` lets a policy decide that
 * @returns the main function's result and a list of the other results; a promise if any function returned one
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_LENGTH_MISMATCH, AUX_DEVICE_MISMATCH or AUX_DISPOSED before anything is
 * queued; otherwise what a function threw, after the join
 * @example
 * const [q, [k, v]] = executeInParallel(() => normQ(x), [() => normK(x), () => normV(x)], start, [done1, done2], [aux1, aux2])
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
  const asked = askedBy(options)
  const inSequence = (reason: ParallelReason, main?: Stream, note = noteOf(asked)) =>
    split(runInSequence([fn0, ...auxFns], report("executeInParallel", reason, main, undefined, note)))
  if (auxStreams === null || auxStreams.length === 0) return inSequence("no-aux-stream")
  if (!enabled) return inSequence("disabled")
  const slots = slotsOf(auxFns, auxStreams)
  const [first] = slots
  if (first === undefined) return inSequence("no-aux-stream")
  const main = currentStream(first.stream.device)
  if (slots.every(({ stream }) => stream === main)) return inSequence("same-stream", main)
  checkLength("doneEvents", doneEvents, auxFns.length)
  checkJoinEvent(startEvent, "startEvent", main)
  const branches = slots.map((slot) => branchOf(slot, doneEvents?.[slot.index], main))
  const inParallel = (note: OverlapNote | undefined) => {
    const region = report("executeInParallel", "parallel", main, slots, note)
    return split(forkJoin(main, fn0, branches, startEvent, auxFns.length + 1, region))
  }
  if (asked === undefined) return inParallel(undefined)
  const turn = asked.policy.turnOf(main.state, asked.key)
  const streams = slots.map(({ stream }) => stream)
  const beside = (note: OverlapNote) =>
    sideBySide([main.state, ...streams.map(({ state }) => state)], () => inParallel(note))
  return takeTurn(turn, streams, beside, (note) => inSequence("policy", main, note))
}

/** Whether the options and `withMultiStream` allow aux streams. */
export function isEnabled(options: ParallelOptions): boolean {
  checkOptions(options, "options", parallelOptions)
  const { enable = true } = options
  checkBoolean(enable, "enable")
  return enable && isMultiStreamEnabled()
}

/** Throws unless the value is an array of functions and empty entries. */
function checkBranches(fns: unknown, what: string): void {
  if (!Array.isArray(fns)) {
    throw mustBe(what, "an array of functions", fns)
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
  const allowed = `an array of length ${length}, with one entry for each of auxFns`
  if (!Array.isArray(list)) throw mustBe(what, allowed, list, undefined, "AUX_LENGTH_MISMATCH")
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `${quoted(what)} must be ${allowed}; got one of length ${list.length}`,
  )
}

function checkOneDevice(first: Slot | undefined, stream: Stream, index: number): void {
  if (first === undefined || first.stream.device === stream.device) return
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `\`auxStreams[${index}]\` must be a stream of ${first.stream.device.id}, like \`auxStreams[${first.index}]\`; got one ` +
      `of ${stream.device.id}`,
  )
}

function branchOf({ index, fn, stream }: Slot, done: Event | null | undefined, main: Stream): AuxBranch {
  checkJoinEvent(done, `doneEvents[${index}]`, main)
  return new AuxBranch(index + 1, fn, stream, done)
}

/** `[r0, r1, r2]` as `[r0, [r1, r2]]`. */
function split(results: unknown[] | Promise<unknown[]>): unknown {
  if (results instanceof Promise) return results.then(([main, ...others]) => [main, others])
  const [main, ...others] = results
  return [main, others]
}

import type { EventHandle } from "../../driver/handles.js"
import { checkSignal, onAbort } from "../../common/abort.js"
import { checkOptions } from "../../common/check.js"
import type { DeviceOrder } from "./device-order.js"
import { noteBroken } from "./synchronize.js"
import type { StreamState } from "./stream-state.js"
import { KernelError } from "../../common/errors.js"
import { RecordPoint } from "./record-point.js"
import { tell } from "./told-failures.js"

/** Options of `completed()` and `read()`. */
export interface CompletionOptions {
  /** If it aborts, the promise rejects with its reason. The queued work continues. */
  readonly signal?: AbortSignal | undefined
}

const completionOptions: ReadonlySet<string> = new Set(["signal"] satisfies (keyof CompletionOptions)[])

/** Resolves once everything queued on the stream so far is done. */
export function streamCompletion(state: StreamState, options: CompletionOptions = {}): Promise<void> {
  return streamResult(state, options, nothing)
}

/** Like {@link streamCompletion}, for the library's own use: the program learns nothing from it. */
export function ownCompletion(state: StreamState): Promise<void> {
  return streamResult(state, {}, nothing, false)
}

/**
 * Like {@link streamCompletion}, with a result. `result` is called when the stream reaches this point, and the promise
 * settles in the same step. If some promises took more steps than others, those of one stream would not settle in call
 * order.
 *
 * @param isProgram whether the promise is the program's, which then knows that the work is done
 */
export function streamResult<T>(
  state: StreamState,
  options: CompletionOptions,
  result: () => T,
  isProgram = true,
): Promise<T> {
  return new Promise((resolve, reject) => {
    checkCompletionOptions(options)
    const { order, tick } = state
    order.captures.checkLookAt(state, "be waited for")
    state.enter()
    const event = order.events.acquire()
    const point = new RecordPoint()
    const failed = (reason: unknown) => {
      order.events.release(event)
      noteBroken(state, tick, reason)
      reject(reason)
    }
    const passed = () => {
      order.events.release(event)
      try {
        resolve(result())
      } catch (error) {
        reject(error)
      }
    }
    try {
      state.record(event, point)
      whenPassed(order, event, point, options, { passed, failed }, isProgram)
    } catch (error) {
      failed(error)
    }
  })
}

/** Like {@link streamCompletion}. For a stream in a capture, waits for the work queued before the capture. */
async function completionOutside(state: StreamState, options: CompletionOptions): Promise<void> {
  if (state.capture === undefined) return streamCompletion(state, options)
  const { beforeCapture, order } = state
  if (beforeCapture !== undefined) await eventCompletion(order, beforeCapture, state.newPoint(), options)
}

/**
 * Resolves once everything queued on the device so far is done. If it rejects, it does so only after all streams are done.
 */
export async function deviceCompletion(order: DeviceOrder, options: CompletionOptions): Promise<void> {
  checkCompletionOptions(options)
  order.captures.checkOutside("the device", "be waited for")
  order.checkNotLost()
  const all = order.markAll()
  const live = Array.from(order.live, (state) => {
    const isSilent = order.isSilent(state)
    const promise = completionOutside(state, options)
    return isSilent ? promise.catch(passOver) : promise
  })
  const retired = Array.from(order.retired, (state) =>
    state.end === undefined ? undefined : eventCompletion(order, state.end, state.newPoint(), options).catch(passOver),
  )
  const outcomes = await Promise.allSettled([...live, ...retired])
  const { signal } = options
  if (signal?.aborted !== true) order.observer?.synchronized(order, all)
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason
}

/** Ignores a kernel's failure on an internal stream, or on a stream that was disposed of. */
function passOver(error: unknown): void {
  if (!(error instanceof KernelError)) throw error
}

/**
 * Resolves once the event's latest record is done. The event must not be recorded again before the promise settles. `ended`
 * is called just before it settles.
 */
export function eventCompletion(
  order: DeviceOrder,
  event: EventHandle,
  point: RecordPoint,
  options: CompletionOptions,
  ended: () => void = nothing,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (reason: unknown) => {
      ended()
      reject(reason)
    }
    const passed = () => {
      ended()
      resolve()
    }
    try {
      whenPassed(order, event, point, options, { passed, failed }, true)
    } catch (error) {
      failed(error)
    }
  })
}

function nothing(): void {}

/** Calls a function that returns a promise, and turns what it throws into a rejection. */
export function attempt<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start()
  } catch (error) {
    return Promise.reject(error)
  }
}

/** Exactly one of the two methods is called, once. */
interface Waiter {
  passed(): void
  failed(reason: unknown): void
}

/** Notifies a waiter when the event's latest record is done, has failed, or when the signal aborts. */
function whenPassed(
  order: DeviceOrder,
  event: EventHandle,
  point: RecordPoint,
  { signal }: CompletionOptions,
  waiter: Waiter,
  isProgram: boolean,
): void {
  if (signal?.aborted === true) return waiter.failed(signal.reason)
  const detach = order.driver.events.whenComplete(event, (error) => {
    forget?.()
    if (error !== undefined) {
      if (isProgram) order.programSeesFailure(point, error)
      return waiter.failed(tell(error))
    }
    if (isProgram) order.programLearns(point)
    else order.hostLearns(point.wholeClock)
    waiter.passed()
  })
  const forget =
    signal &&
    onAbort(signal, () => {
      detach()
      waiter.failed(signal.reason)
    })
}

/** Throws unless these are valid options. */
export function checkCompletionOptions(options: CompletionOptions): void {
  checkOptions(options, "options", completionOptions)
  checkSignal(options.signal)
}

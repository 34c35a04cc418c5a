import type { EventHandle } from "../../driver.js"
import { checkSignal, onAbort } from "../../common/abort.js"
import { checkOptions } from "../../common/check.js"
import type { VectorClock } from "./clock.js"
import { type DeviceOrder, noteBroken } from "./device-order.js"
import type { StreamState } from "./stream-state.js"
import { KernelError } from "../../common/errors.js"
import { RecordPoint } from "./record-point.js"
import { tell } from "./told-failures.js"

/** How to give up waiting for a promise of the device's. */
export interface CompletionOptions {
  /** Rejects the promise with the signal's reason. The work goes on; only the waiting ends. */
  readonly signal?: AbortSignal | undefined
}

const completionOptions: ReadonlySet<string> = new Set(["signal"] satisfies (keyof CompletionOptions)[])

/** A promise of everything that is queued on a stream so far. */
export function streamCompletion(state: StreamState, options: CompletionOptions = {}): Promise<void> {
  return streamResult(state, options, nothing)
}

/**
 * The same with a result. `result` is called when the stream gets there, and the promise settles in that very step:
 * promises of one stream settle in the order in which they were asked for only if none takes more steps than another.
 */
export function streamResult<T>(state: StreamState, options: CompletionOptions, result: () => T): Promise<T> {
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
      whenPassed(order, event, point.wholeClock, options, { passed, failed })
    } catch (error) {
      failed(error)
    }
  })
}

/** The same of a stream that may be captured: of what was queued there before that. */
async function completionOutside(state: StreamState, options: CompletionOptions): Promise<void> {
  if (state.capture === undefined) return streamCompletion(state, options)
  const { beforeCapture, outsideClock, order } = state
  if (beforeCapture !== undefined) await eventCompletion(order, beforeCapture, outsideClock, options)
}

/** A promise of everything that is queued on a device so far. It rejects once every stream has come to its end. */
export async function deviceCompletion(order: DeviceOrder, options: CompletionOptions): Promise<void> {
  checkCompletionOptions(options)
  order.captures.checkOutside("the device", "be waited for")
  const live = Array.from(order.live, (state) => {
    const isSilent = order.isSilent(state)
    const promise = completionOutside(state, options)
    return isSilent ? promise.catch(passOver) : promise
  })
  const retired = Array.from(order.retired, ({ end, clock }) =>
    end === undefined ? undefined : eventCompletion(order, end, clock, options).catch(passOver),
  )
  for (const outcome of await Promise.allSettled([...live, ...retired])) {
    if (outcome.status === "rejected") throw outcome.reason
  }
}

/** Ignores a kernel's failure on an internal stream, or on a stream that was disposed of. */
function passOver(error: unknown): void {
  if (!(error instanceof KernelError)) throw error
}

/**
 * A promise of an event's latest record. The event must not be recorded again before it settles; `ended` is called just
 * before that.
 */
export function eventCompletion(
  order: DeviceOrder,
  event: EventHandle,
  clock: VectorClock,
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
      whenPassed(order, event, clock, options, { passed, failed })
    } catch (error) {
      failed(error)
    }
  })
}

function nothing(): void {}

/** What a function promises; what it throws, too, comes as a rejection. */
export function attempt<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start()
  } catch (error) {
    return Promise.reject(error)
  }
}

/** Exactly one of the two is called, once. */
interface Waiter {
  passed(): void
  failed(reason: unknown): void
}

/** Tells a waiter when an event's latest record has been passed, or that waiting has been given up. */
function whenPassed(
  order: DeviceOrder,
  event: EventHandle,
  clock: VectorClock,
  { signal }: CompletionOptions,
  waiter: Waiter,
): void {
  if (signal?.aborted === true) return waiter.failed(signal.reason)
  const detach = order.driver.events.whenComplete(event, (error) => {
    forget?.()
    if (error !== undefined) return waiter.failed(tell(error))
    order.programLearns(clock)
    waiter.passed()
  })
  const forget =
    signal &&
    onAbort(signal, () => {
      detach()
      waiter.failed(signal.reason)
    })
}

/** Refuses options that are none. */
export function checkCompletionOptions(options: CompletionOptions): void {
  checkOptions(options, "options", completionOptions)
  checkSignal(options.signal)
}

import type { EventHandle } from "../driver.js"
import { checkSignal, onAbort } from "./abort.js"
import { checkOptions } from "./check.js"
import type { VectorClock } from "./clock.js"
import { type DeviceOrder, noteBroken } from "./order.js"
import type { StreamState } from "./stream-state.js"
import { KernelError } from "./errors.js"
import { RecordPoint } from "./record-point.js"

/** How to give up waiting for a promise of the device's. */
export interface CompletionOptions {
  /** Rejects the promise with the signal's reason. The work goes on; only the waiting ends. */
  readonly signal?: AbortSignal | undefined
}

/** A promise of everything that is queued on a stream so far. */
export async function streamCompletion(state: StreamState, options: CompletionOptions = {}): Promise<void> {
  checkCompletionOptions(options)
  state.order.captures.checkLookAt(state, "be waited for")
  state.enter()
  const { events } = state.order
  const event = events.take()
  const point = new RecordPoint()
  const { tick } = state
  try {
    state.record(event, point)
    await eventCompletion(state.order, event, point.wholeClock, options)
  } catch (error) {
    noteBroken(state, tick, error)
    throw error
  } finally {
    events.give(event)
  }
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
    const promise = completionOutside(state, options)
    return order.isInternal(state) ? promise.catch(passOver) : promise
  })
  const retired = Array.from(order.retired, ({ end, clock }) =>
    end === undefined ? undefined : eventCompletion(order, end, clock, options).catch(passOver),
  )
  for (const outcome of await Promise.allSettled([...live, ...retired])) {
    if (outcome.status === "rejected") throw outcome.reason
  }
}

/** Nobody wants to hear of a kernel's failure on a stream that is not the user's, or is none any more. */
function passOver(error: unknown): void {
  if (!(error instanceof KernelError)) throw error
}

/** A promise of an event's latest record. The event must not be recorded again before it settles. */
export function eventCompletion(
  order: DeviceOrder,
  event: EventHandle,
  clock: VectorClock,
  { signal }: CompletionOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const detach = order.driver.whenComplete(event, (error) => {
      forget?.()
      if (error !== undefined) return reject(error)
      order.hostLearns(clock)
      resolve()
    })
    const forget =
      signal &&
      onAbort(signal, () => {
        detach()
        reject(signal.reason)
      })
  })
}

/** Refuses options that are none. */
export function checkCompletionOptions(options: CompletionOptions): void {
  checkOptions(options, "options")
  checkSignal(options.signal)
}

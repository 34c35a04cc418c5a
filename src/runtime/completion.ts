import { setMaxListeners } from "node:events"
import type { EventHandle } from "../driver.js"
import { checkOptions } from "./check.js"
import type { VectorClock } from "./clock.js"
import { type DeviceOrder, noteBroken } from "./order.js"
import type { StreamState } from "./stream-state.js"
import { AuxstreamError, KernelError } from "./errors.js"
import { RecordPoint } from "./record-point.js"
import { show } from "./show.js"

/** How to give up waiting for a promise of the device's. */
export interface CompletionOptions {
  /** Rejects the promise with the signal's reason. The work goes on; only the waiting ends. */
  readonly signal?: AbortSignal | undefined
}

/** A promise of everything that is queued on a stream so far. */
export async function streamCompletion(state: StreamState, options: CompletionOptions = {}): Promise<void> {
  checkSignal(options)
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
  checkSignal(options)
  order.captures.checkOutside("the device", "be waited for")
  const everywhere = { signal: forManyListeners(options.signal) }
  const live = Array.from(order.live, (state) => {
    const promise = completionOutside(state, everywhere)
    return order.isInternal(state) ? promise.catch(passOver) : promise
  })
  const retired = Array.from(order.retired, ({ end, clock }) =>
    end === undefined ? undefined : eventCompletion(order, end, clock, everywhere).catch(passOver),
  )
  for (const outcome of await Promise.allSettled([...live, ...retired])) {
    if (outcome.status === "rejected") throw outcome.reason
  }
}

/** Each stream listens to the signal, and Node.js takes more than ten listeners for a leak. */
function forManyListeners(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return undefined
  const shared = AbortSignal.any([signal])
  setMaxListeners(0, shared)
  return shared
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
    const abort = () => {
      detach()
      reject(signal?.reason)
    }
    const detach = order.driver.whenComplete(event, (error) => {
      signal?.removeEventListener("abort", abort)
      if (error !== undefined) return reject(error)
      order.hostLearns(clock)
      resolve()
    })
    signal?.addEventListener("abort", abort, { once: true })
  })
}

/** Refuses a signal that is none. */
export function checkSignal(options: CompletionOptions): void {
  checkOptions(options, "options")
  const { signal } = options
  if (signal === undefined || signal instanceof AbortSignal) return
  throw new AuxstreamError("AUX_INVALID_ARGUMENT", `signal is ${show(signal)}; it is an AbortSignal, or left out`)
}

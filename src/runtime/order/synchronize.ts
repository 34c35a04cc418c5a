/**
 * Waiting for queued work on the calling thread, and queries whether it is done. The host's clock learns which work is
 * done.
 */
import { KernelError } from "../../common/errors.js"
import type { DeviceOrder } from "./device-order.js"
import type { StreamState } from "./stream-state.js"
import { tell } from "./told-failures.js"

/**
 * Blocks until all queued work of a device is done. Then throws the error of a broken stream that has not been disposed of,
 * if any.
 */
export function synchronizeDevice(order: DeviceOrder): void {
  order.checkNotLost()
  const all = order.markAll()
  const failures: unknown[] = []
  for (const state of order.live) {
    const isSilent = order.isSilent(state)
    const failure = failureOf(() => synchronizeOutside(state))
    if (failure !== undefined && !(isSilent && failure instanceof KernelError)) failures.push(failure)
  }
  for (const { end } of order.retired) {
    const failure = end === undefined ? undefined : failureOf(() => order.driver.events.synchronize(end))
    if (failure !== undefined && !(failure instanceof KernelError)) failures.push(failure)
  }
  order.retired.reapAll()
  order.observer?.synchronized(order, all)
  if (failures.length > 0) throw failures[0]
}

/** Synchronises a stream. For a stream in a capture, waits for the work queued before the capture. */
function synchronizeOutside(state: StreamState): void {
  if (state.capture !== undefined) return synchronizeBefore(state)
  state.order.captures.checkNotOthers(state, "be synchronised")
  synchronizeStream(state)
}

/** Waits for the work that a stream in a capture queued before the capture. */
export function synchronizeBefore({ order, beforeCapture, outsideHandle, outsideClock }: StreamState): void {
  if (beforeCapture === undefined) return
  order.driver.events.synchronize(beforeCapture)
  order.driver.memory.noteIdle(outsideHandle)
  order.hostLearns(outsideClock)
}

/** Blocks until everything queued on the stream is done. */
export function synchronizeStream(state: StreamState): void {
  try {
    state.order.driver.streams.synchronize(state.handle)
  } catch (error) {
    throw failed(state, error)
  }
  learn(state)
}

/** Whether everything queued on the stream is done. */
export function queryStream(state: StreamState): boolean {
  let done: boolean
  try {
    done = state.order.driver.streams.query(state.handle)
  } catch (error) {
    throw failed(state, error)
  }
  if (done) learn(state)
  return done
}

/** Notes that everything queued on the stream outside of captures is done. Only an observer needs a point for that. */
function learn(state: StreamState): void {
  const { order } = state
  if (order.observer !== undefined) return order.programLearns(state.newPoint())
  order.waits += 1
  order.hostLearns(state.outsideClock)
}

/** Notes that the program sees a stream's failure. @returns the error */
function failed(state: StreamState, error: unknown): unknown {
  noteBroken(state, state.tick, error)
  state.order.programSeesFailure(state.newPoint(), error)
  return error
}

/** Like {@link queryStream}, for the library's own use: false for a broken stream, and the failure is not reported. */
export function isDone(state: StreamState): boolean {
  try {
    const done = state.order.driver.streams.query(state.handle)
    if (done) state.order.hostLearns(state.clock)
    return done
  } catch (error) {
    if (error instanceof KernelError) return false
    throw error
  }
}

/** Notes a kernel's failure on a stream: the operations up to `tick` are over, because they ran or were skipped. */
export function noteBroken(state: StreamState, tick: number, error: unknown): void {
  if (error instanceof KernelError) state.brokenAt = Math.max(state.brokenAt, tick)
  tell(error)
}

/** Calls a function and returns what it throws, if anything. */
export function failureOf(call: () => void): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}

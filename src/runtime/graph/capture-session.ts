import type { GraphHandle } from "../../driver/handles.js"
import { context, outsideCaptures, runIn } from "../device/context.js"
import type { Device } from "../device/device.js"
import { attach } from "../../common/results/failures.js"
import { warnOnce } from "../../common/warn.js"
import type { GraphPlan } from "../capture/graph-plan.js"
import { GraphCapture } from "../capture/graph-capture.js"
import type { Stream } from "../device/stream.js"
import { adopt } from "../../common/results/thenable.js"

/** The outcome of a capture: its memory and plan, the executable graph, and the function's result. */
export interface Captured {
  readonly capture: GraphCapture
  readonly handle: GraphHandle
  readonly result: unknown
  /** The graph and the arrays made inside refer to this object, so that each of them keeps the graph alive. */
  readonly life: object
}

/** What becomes of the captured operations. */
export interface CaptureGoal {
  /** The executable graph to change in place, which works if the shape is the same. */
  readonly update: GraphHandle | undefined
  /** Whether they run one after another. */
  readonly isChained: boolean
}

/**
 * Captures everything that a function queues.
 *
 * @param aim called when everything has been captured
 * @param take receives the outcome in the same synchronous step, so that no code sees a graph that is half updated
 */
export function captureOn<R>(
  device: Device,
  fn: () => unknown,
  aim: (plan: GraphPlan) => CaptureGoal,
  take: (captured: Captured) => R,
): R | Promise<R> {
  device.checkUsable()
  device.order.captures.checkNotNested()
  device.order.named()
  return new CaptureSession(device, aim, take).run(fn)
}

/** Cancels a capture whose async function can never end. Otherwise memory freed meanwhile would never be released. */
const unending = new FinalizationRegistry<GraphCapture>((capture) => {
  if (capture.over) return
  outsideCaptures(() => capture.cancel())
  warnOnce(
    "unending capture",
    "A captured async function can never end, because nothing can settle the promise that it awaits. Its capture was cancelled.",
    "AUX_FORGOTTEN",
  )
})

class CaptureSession<R> {
  readonly #device: Device
  readonly #root: Stream
  readonly #capture: GraphCapture
  readonly #aim: (plan: GraphPlan) => CaptureGoal
  readonly #take: (captured: Captured) => R

  constructor(device: Device, aim: (plan: GraphPlan) => CaptureGoal, take: (captured: Captured) => R) {
    this.#device = device
    this.#aim = aim
    this.#take = take
    this.#root = device.streams.make(0, "captured stream")
    this.#capture = new GraphCapture(device.order, this.#root.state)
  }

  run(fn: () => unknown): R | Promise<R> {
    let result: unknown
    let promise: Promise<unknown> | undefined
    try {
      this.#capture.begin()
    } catch (error) {
      this.#device.streams.dispose(this.#root)
      throw error
    }
    try {
      this.#inside(() => {
        result = fn()
        promise = adopt(result)
      })
    } catch (error) {
      throw this.#cancel(error)
    }
    return promise === undefined ? this.#end(result) : this.#endAfter(promise)
  }

  /** Runs a function inside the capture, and outside of all scopes, because arrays made inside belong to the graph. */
  #inside<T>(fn: () => T): T {
    return runIn(context().withStream(this.#root).withScope(undefined).withCapture(this.#capture.link), fn)
  }

  async #endAfter(promise: Promise<unknown>): Promise<R> {
    unending.register(this, this.#capture, this.#capture)
    let result: unknown
    try {
      result = await promise
    } catch (error) {
      throw this.#cancel(error)
    } finally {
      unending.unregister(this.#capture)
    }
    return this.#end(result)
  }

  #end(result: unknown): R {
    try {
      this.#device.checkUsable()
      const { life = {}, plan } = this.#capture
      const { update, isChained } = this.#aim(plan)
      const handle = this.#inside(() => this.#capture.end(update, isChained))
      return this.#take({ capture: this.#capture, handle, result, life })
    } finally {
      this.#device.streams.dispose(this.#root)
    }
  }

  #cancel(error: unknown): unknown {
    try {
      this.#capture.cancel()
      return error
    } catch (cancelError) {
      return attach(error, [cancelError])
    } finally {
      this.#device.streams.dispose(this.#root)
    }
  }
}

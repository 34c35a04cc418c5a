import type { GraphHandle } from "../driver.js"
import { checkFunction, checkOptions } from "./check.js"
import { context, runIn } from "./context.js"
import { Device } from "./device.js"
import { AuxstreamError } from "./errors.js"
import { attach } from "./failures.js"
import { type Captured, Graph } from "./graph.js"
import { GraphCapture } from "./graph-capture.js"
import { GraphState } from "./graph-state.js"
import { show } from "./show.js"
import { currentDevice, type Stream } from "./stream.js"
import { adopt } from "./thenable.js"

/** Options of {@link captureGraph}. */
export interface CaptureOptions {
  /** The device whose work is captured: the innermost `run`'s, else the only open one, unless given. */
  readonly device?: Device | undefined
}

/**
 * Captures what a function queues, forks included, into one graph. Nothing of it runs before the graph is launched.
 *
 * The current stream inside is a private one. Arrays made inside belong to the graph; those from outside are kept alive
 * by it. Typed arrays that are copied inside are read now. Nothing may be waited for or looked at inside: reading,
 * synchronising and querying are refused. An async function may be captured: what others queue meanwhile, outside of
 * its flow of calls, is no part of it.
 *
 * @returns the graph, or a promise of it if the function is async
 * @example
 * const graph = captureGraph(() => model(x))
 * x.copyFrom(tokens)
 * graph.launch()
 * console.log(await graph.result.read())
 */
export function captureGraph<T>(
  fn: () => T,
  options?: CaptureOptions,
): T extends PromiseLike<unknown> ? Promise<Graph<Awaited<T>>> : Graph<T>
export function captureGraph(fn: () => unknown, options: CaptureOptions = {}): unknown {
  checkFunction(fn, "fn")
  checkOptions(options, "options")
  const { device = currentDevice() } = options
  if (!(device instanceof Device)) {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `device is ${show(device)}; it is a Device, or left out`)
  }
  const captured = captureOn(device, fn, () => undefined)
  return captured instanceof Promise ? captured.then((later) => graphOf(device, later)) : graphOf(device, captured)
}

function graphOf(device: Device, captured: Captured): Graph<unknown> {
  const state = new GraphState(captured.capture, captured.handle)
  device.watchGraph(captured.life, state)
  return new Graph(device, state, captured)
}

/**
 * Captures what a function queues.
 *
 * @param update gives the executable graph that is to be changed in place if the shape is the same
 */
export function captureOn(
  device: Device,
  fn: () => unknown,
  update: () => GraphHandle | undefined,
): Captured | Promise<Captured> {
  device.checkUsable()
  device.order.captures.checkNotNested()
  return new CaptureSession(device, update).run(fn)
}

class CaptureSession {
  readonly #device: Device
  readonly #root: Stream
  readonly #capture: GraphCapture
  readonly #update: () => GraphHandle | undefined

  constructor(device: Device, update: () => GraphHandle | undefined) {
    this.#device = device
    this.#update = update
    this.#root = device.createStream({ name: "captured stream" })
    this.#capture = new GraphCapture(device.order, this.#root.state)
  }

  run(fn: () => unknown): Captured | Promise<Captured> {
    let result: unknown
    let promise: Promise<unknown> | undefined
    try {
      this.#capture.begin()
    } catch (error) {
      this.#root.dispose()
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

  /** Arrays made inside belong to the graph, not to a scope around it. */
  #inside<R>(fn: () => R): R {
    return runIn(context().withStream(this.#root).withScope(undefined).withCapture(this.#capture), fn)
  }

  async #endAfter(promise: Promise<unknown>): Promise<Captured> {
    let result: unknown
    try {
      result = await promise
    } catch (error) {
      throw this.#cancel(error)
    }
    return this.#end(result)
  }

  #end(result: unknown): Captured {
    try {
      this.#device.checkUsable()
      const { life = {} } = this.#capture
      const handle = this.#inside(() => this.#capture.end(this.#update()))
      return { capture: this.#capture, handle, result, life }
    } finally {
      this.#root.dispose()
    }
  }

  #cancel(error: unknown): unknown {
    try {
      this.#capture.cancel()
      return error
    } catch (cancelError) {
      return attach(error, [cancelError])
    } finally {
      this.#root.dispose()
    }
  }
}

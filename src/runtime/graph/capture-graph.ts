import { checkFunction, checkOptions, mustBe } from "../../common/check.js"
import { captureOn, type Captured } from "./capture-session.js"
import { Device } from "../device/device.js"
import { Graph } from "./graph.js"
import { GraphState } from "../capture/graph-state.js"
import type { Join, Now } from "../../common/results.js"
import { currentDevice } from "../device/current.js"

/** Options of {@link captureGraph}. */
export interface CaptureOptions {
  /** The device whose work is captured: the innermost `run`'s, else the only open one, unless given. */
  readonly device?: Device | undefined
}

const captureOptions: ReadonlySet<string> = new Set(["device"] satisfies (keyof CaptureOptions)[])

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
export function captureGraph<T>(fn: () => T, options?: CaptureOptions): Join<[T], Graph<Now<T>>, Graph<Awaited<T>>>
export function captureGraph(fn: () => unknown, options: CaptureOptions = {}): unknown {
  checkFunction(fn, "fn")
  checkOptions(options, "options", captureOptions)
  const { device = currentDevice() } = options
  if (!(device instanceof Device)) {
    throw mustBe("device", "a Device, or left out", device)
  }
  return captureOn(
    device,
    fn,
    () => undefined,
    (captured) => graphOf(device, captured),
  )
}

function graphOf(device: Device, captured: Captured): Graph<unknown> {
  const state = new GraphState(captured.capture, captured.handle)
  device.watchGraph(captured.life, state)
  return new Graph(device, state, captured)
}

import { channel } from "node:diagnostics_channel"
import { checkFunction, checkOptions, mustBe } from "../../common/check.js"
import { captureOn, type Captured } from "./capture-session.js"
import { Device } from "../device/device.js"
import { Graph } from "./graph.js"
import { GraphState } from "../capture/graph-state.js"
import type { Join, Now } from "../../common/results.js"
import { currentDevice } from "../device/current.js"

/** Options of {@link captureGraph}. */
export interface CaptureOptions {
  /** The device whose work is captured. Default: the device of the innermost `run`, otherwise the only open device. */
  readonly device?: Device | undefined
}

const captureOptions: ReadonlySet<string> = new Set(["device"] satisfies (keyof CaptureOptions)[])

/**
 * Captures everything that a function queues, including its forks, into one graph. Nothing runs until you launch the graph.
 *
 * Inside, the current stream is a private one. Arrays made inside belong to the graph. The graph keeps arrays from outside
 * alive. Typed arrays are read during the capture. Reading, querying and waiting throw inside a capture, because nothing runs.
 * The function may be async; work that other code queues meanwhile is not captured.
 *
 * PyTorch: `torch.cuda.graph`. CUDA: `cuStreamBeginCapture` and `cuGraphInstantiate`.
 *
 * @param fn queues the work
 * @param options the device, if it is not the current one
 * @returns the graph; a promise of it if the function is async
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_AMBIGUOUS_DEVICE, AUX_STREAM_CAPTURING, AUX_DISPOSED; what the function
 * throws
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
    throw mustBe("device", "a Device or undefined", device)
  }
  return captureOn(
    device,
    fn,
    () => undefined,
    (captured) => graphOf(device, captured),
  )
}

/** The message that each capture publishes on the diagnostics channel `auxstream:graph`. */
export interface GraphMessage {
  /** The graph, just captured. */
  readonly graph: Graph<unknown>
}

const graphChannel = channel("auxstream:graph")

function graphOf(device: Device, captured: Captured): Graph<unknown> {
  const state = new GraphState(captured.capture, captured.handle)
  device.watchGraph(captured.life, state)
  const graph = new Graph(device, state, captured)
  if (graphChannel.hasSubscribers) graphChannel.publish({ graph } satisfies GraphMessage)
  return graph
}

import { channel } from "node:diagnostics_channel"
import { checkFunction, checkOptions, mustBe } from "../../common/check.js"
import { captureOn, type Captured } from "./capture-session.js"
import { Device } from "../device/device.js"
import { Graph } from "./graph.js"
import { GraphPolicy } from "../capture/graph-trial.js"
import { GraphState } from "../capture/graph-state.js"
import type { Join, Now } from "../../common/results/types.js"
import { askedBy, type OverlapOptions } from "../order/policy/overlap-options.js"
import { currentDevice } from "../device/current.js"

/** Options of {@link captureGraph}. */
export type CaptureOptions = OverlapOptions & {
  /** The device whose work is captured. Default: the device of the innermost `run`, otherwise the only open device. */
  readonly device?: Device | undefined
}

const captureOptions: ReadonlySet<string> = new Set(["device", "overlap", "key"] satisfies (keyof CaptureOptions)[])

/**
 * Captures everything that a function queues, including its forks, into one graph. Nothing runs until you launch the graph.
 *
 * Inside, the current stream is a private one. Arrays made inside belong to the graph. The graph keeps arrays from outside
 * alive. Typed arrays are read during the capture. Reading, querying and waiting throw inside a capture, because nothing runs.
 * The function may be async; work that other code queues meanwhile is not captured.
 *
 * With `overlap` and `key`, the policy measures whether the graph is faster with its branches side by side or with all
 * operations one after another: the graph's first launches alternate between both, and later ones run as decided. A policy
 * that has already decided for the key measures nothing. {@link Graph.overlap} says how the graph runs. Graphs with
 * conditionals are not measured.
 *
 * PyTorch: `torch.cuda.graph`. CUDA: `cuStreamBeginCapture` and `cuGraphInstantiate`.
 *
 * @param fn queues the work
 * @param options the device, if it is not the current one; `overlap` and `key`
 * @returns the graph; a promise of it if the function is async
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_AMBIGUOUS_DEVICE, AUX_STREAM_CAPTURING, AUX_DISPOSED; what the function
 * throws
 * @example
 * const graph = captureGraph(() => model(x))
 * x.copyFrom(input)
 * graph.launch()
 * console.log(await graph.result.read())
 */
export function captureGraph<T>(fn: () => T, options?: CaptureOptions): Join<[T], Graph<Now<T>>, Graph<Awaited<T>>>
export function captureGraph(fn: () => unknown, options: CaptureOptions = {}): unknown {
  checkFunction(fn, "fn")
  checkOptions(options, "options", captureOptions)
  const asked = askedBy(options)
  const { device = currentDevice() } = options
  if (!(device instanceof Device)) {
    throw mustBe("device", "a Device or undefined", device)
  }
  device.checkUsable()
  const policy = asked && new GraphPolicy(device.order, asked)
  return captureOn(
    device,
    fn,
    (plan) => ({ update: undefined, isChained: policy?.wantsChain(plan) === true }),
    (captured) => graphOf(device, captured, policy),
  )
}

/** The message that each capture publishes on the diagnostics channel `auxstream:graph`. */
export interface GraphMessage {
  /** The graph, just captured. */
  readonly graph: Graph<unknown>
}

const graphChannel = channel("auxstream:graph")

function graphOf(device: Device, captured: Captured, policy: GraphPolicy | undefined): Graph<unknown> {
  const state = new GraphState(captured.capture, captured.handle, policy)
  device.watchGraph(captured.life, state)
  const graph = new Graph(device, state, captured)
  if (graphChannel.hasSubscribers) graphChannel.publish({ graph } satisfies GraphMessage)
  return graph
}

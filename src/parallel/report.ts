import { channel } from "node:diagnostics_channel"
import type { Device } from "../runtime/device/device.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { currentRegionObserver } from "../runtime/order/observer/observers.js"
import type { OverlapNote } from "../runtime/order/policy/overlap-policy.js"
import { Region, type RegionName } from "../runtime/order/observer/region.js"
import { type Context, context } from "../runtime/device/context.js"

/**
 * Why a call ran in parallel or in sequence:
 *
 * - `"parallel"`: it ran in parallel
 * - `"no-aux-stream"`: no other stream was given
 * - `"disabled"`: {@link withMultiStream} or the option `enable` turned it off
 * - `"same-stream"`: the other stream was the current one
 * - `"policy"`: a policy decided this, or is measuring it
 */
export type ParallelReason = "no-aux-stream" | "disabled" | "same-stream" | "policy" | "parallel"

/** The message that each fork-join publishes on the diagnostics channel `auxstream:parallel`. */
export interface ParallelMessage {
  /** Whether the work of the functions was queued side by side. */
  readonly mode: "parallel" | "sequential"
  /** Why it ran in this mode. */
  readonly reason: ParallelReason
  /** Undefined if the call names no device and there is no current one. */
  readonly device: Device | undefined
  /** The streams of the call, the current one first. */
  readonly streams: readonly Stream[]
  /** The policy of the call; undefined if it has none. */
  readonly policy: OverlapNote | undefined
}

const parallelChannel = channel("auxstream:parallel")
const none: readonly { stream: Stream }[] = []

/**
 * Reports how a call runs. Costs almost nothing if the channel has no subscriber and nobody needs to know regions.
 *
 * @param main the current stream, if known
 * @param branches the streams beside it
 * @param policy what the call's policy has to say about it
 * @returns the call's region if an observer or a capture needs it. The caller must end it
 */
export function report(
  name: RegionName,
  reason: ParallelReason,
  main?: Stream,
  branches: readonly { stream: Stream }[] = none,
  policy?: OverlapNote,
): Region | undefined {
  if (parallelChannel.hasSubscribers) publish(reason, main, branches, policy)
  return currentRegionObserver() === undefined ? undefined : begin(name, reason, main, branches, policy)
}

/** Like {@link report}, for two streams side by side. Allocates nothing if nobody listens. */
export function reportTwo(
  here: Context,
  main: Stream,
  stream: Stream,
  policy: OverlapNote | undefined,
): Region | undefined {
  if (parallelChannel.hasSubscribers) publish("parallel", main, [{ stream }], policy)
  const observer = currentRegionObserver()
  if (observer === undefined) return undefined
  const streams = [main.state, stream.state]
  return new Region("maybeExecuteInParallel", "parallel", "parallel", streams, here.region, observer, policy)
}

function begin(
  name: RegionName,
  reason: ParallelReason,
  main: Stream | undefined,
  branches: readonly { readonly stream: Stream }[],
  policy: OverlapNote | undefined,
): Region | undefined {
  const observer = currentRegionObserver()
  if (observer === undefined) return undefined
  const streams = streamsOf(main, branches).map(({ state }) => state)
  return new Region(name, modeOf(reason), reason, streams, context().region, observer, policy)
}

function modeOf(reason: ParallelReason): "parallel" | "sequential" {
  return reason === "parallel" ? "parallel" : "sequential"
}

function streamsOf(main: Stream | undefined, branches: readonly { readonly stream: Stream }[]): Stream[] {
  return [...(main === undefined ? whereItRuns() : [main]), ...branches.map(({ stream }) => stream)]
}

function publish(
  reason: ParallelReason,
  main: Stream | undefined,
  branches: readonly { readonly stream: Stream }[],
  policy: OverlapNote | undefined,
): void {
  const streams = streamsOf(main, branches)
  const message: ParallelMessage = { mode: modeOf(reason), reason, device: streams[0]?.device, streams, policy }
  parallelChannel.publish(message)
}

/** The current stream of a call that names no device; none if that is ambiguous. */
function whereItRuns(): Stream[] {
  try {
    return [currentStream(currentDevice())]
  } catch {
    return []
  }
}

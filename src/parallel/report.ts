import { channel } from "node:diagnostics_channel"
import type { Device } from "../runtime/device/device.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"

/** Why a call ran in parallel or in sequence. */
export type ParallelReason = "no-aux-stream" | "disabled" | "same-stream" | "policy" | "parallel"

/** The message that each fork-join publishes on the diagnostics channel `auxstream:parallel`. */
export interface ParallelMessage {
  readonly mode: "parallel" | "sequential"
  readonly reason: ParallelReason
  /** Undefined if the call names no device and there is no current one. */
  readonly device: Device | undefined
  /** The streams of the call, the current one first. */
  readonly streams: readonly Stream[]
}

const parallelChannel = channel("auxstream:parallel")
const none: readonly { stream: Stream }[] = []

/**
 * Publishes how a call runs. Costs almost nothing if the channel has no subscriber.
 *
 * @param main the current stream, if known
 * @param branches the streams beside it
 */
export function report(reason: ParallelReason, main?: Stream, branches: readonly { stream: Stream }[] = none): void {
  if (parallelChannel.hasSubscribers) publish(reason, main, branches)
}

/** Like {@link report}, for two streams side by side. Allocates nothing if the channel has no subscriber. */
export function reportTwo(main: Stream, stream: Stream): void {
  if (parallelChannel.hasSubscribers) publish("parallel", main, [{ stream }])
}

function publish(
  reason: ParallelReason,
  main: Stream | undefined,
  branches: readonly { readonly stream: Stream }[],
): void {
  const streams = [...(main === undefined ? whereItRuns() : [main]), ...branches.map(({ stream }) => stream)]
  const mode = reason === "parallel" ? "parallel" : "sequential"
  const message: ParallelMessage = { mode, reason, device: streams[0]?.device, streams }
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

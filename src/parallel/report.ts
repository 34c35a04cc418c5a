import { channel } from "node:diagnostics_channel"
import type { Device } from "../runtime/device/device.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"

/** Why a call ran as it did. */
export type ParallelReason = "no-aux-stream" | "disabled" | "same-stream" | "policy" | "parallel"

/** What each fork and join publishes on the diagnostics channel `auxstream:parallel`. */
export interface ParallelMessage {
  readonly mode: "parallel" | "sequential"
  readonly reason: ParallelReason
  /** Undefined where nothing names one. */
  readonly device: Device | undefined
  /** The streams that the call uses, the current one first. */
  readonly streams: readonly Stream[]
}

const parallelChannel = channel("auxstream:parallel")
const none: readonly { stream: Stream }[] = []

/**
 * Publishes how a call runs. Costs next to nothing while nobody listens.
 *
 * @param main the current stream, where it is known
 * @param branches what runs beside it
 */
export function report(reason: ParallelReason, main?: Stream, branches: readonly { stream: Stream }[] = none): void {
  if (parallelChannel.hasSubscribers) publish(reason, main, branches)
}

/** The same for two streams side by side, without a list that nobody may want. */
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

/** The stream that a sequential call's work goes to, where that can be told without an argument of the work. */
function whereItRuns(): Stream[] {
  try {
    return [currentStream(currentDevice())]
  } catch {
    return []
  }
}

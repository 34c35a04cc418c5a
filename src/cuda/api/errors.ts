import { AuxstreamError } from "../../common/errors.js"

/** The error of a device that cannot be used: its message is the one sentence that `listDevices()` shows, too. */
export function unavailable(sentence: string): AuxstreamError {
  return new AuxstreamError("AUX_DEVICE_UNAVAILABLE", sentence)
}

/** Captures of ours are known to the runtime, which refuses such events by name. */
export function recordedInCapture(cause?: unknown): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    "the event was recorded on a stream that another library captured: it marks a point of that library's graph, which " +
      "nobody can ask or wait for; record it again when the capture has ended",
    { cause },
  )
}
